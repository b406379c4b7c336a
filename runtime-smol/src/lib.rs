//! heirloom's driver for smol: one turn of the loop over sockets that do not block, as a future.
//!
//! It runs on whatever executor polls it, and has no thread of its own. Either spawn it:
//!
//! ```no_run
//! use heirloom_core::{Config, Delta, Durability};
//! use heirloom_runtime::Settings;
//!
//! let executor = smol::Executor::new();
//! smol::block_on(executor.run(async {
//!     let (handle, driver) = heirloom_smol::spawn(&executor, Settings::default(), Config::default())?;
//!     let key = handle.key(0, b"the id in the cookie")?;
//!     let receipt = handle.commit(key, Delta::new().set("user", "alice"), Durability::One).await?;
//!     println!("applied by {:?}", receipt.members);
//!     handle.leave().await;
//!     driver.await?;
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! }))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! or poll [`Driver::run`] wherever a future can be polled, beside others or under another runtime: async-io then brings the
//! one thread in which it waits for all sockets of the process. Who serves clients of their own in one loop with the node
//! takes its turns themselves: [`Driver::wait`], [`Driver::cork`], [`Driver::turn`].
//!
//! All sockets of a node stand in one [`heirloom_runtime::Poller`], which itself is waited for through async-io: so this
//! driver and the one for threads run the same code on the same sockets, and differ in how they wait. On Linux a poller
//! can be waited for in this way; elsewhere this crate is empty.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod driver;
mod wait;

pub use driver::{Driver, spawn};
