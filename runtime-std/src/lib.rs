//! heirloom's driver for threads: one turn of the loop over sockets that do not block.
//!
//! Either give it a thread of its own:
//!
//! ```no_run
//! use heirloom_core::{Config, Delta, Durability};
//! use heirloom_runtime::Settings;
//!
//! let (handle, driver) = heirloom_std::spawn(Settings::default(), Config::default())?;
//! let key = handle.key(0, b"the id in the cookie")?;
//! let commit = handle.commit(key, Delta::new().set("user", "alice"), Durability::One);
//! println!("applied by {:?}", commit.wait()?.members);
//! handle.leave().wait();
//! driver.join().expect("the driver does not panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! or take its turns in a loop that also serves sockets of your own, so that no thread stands between a client and the
//! node:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use heirloom_core::Config;
//! # use heirloom_runtime::{DRIVER_TOKENS, Poller, Settings};
//! # use heirloom_std::Driver;
//! let poller = Arc::new(Poller::new()?);
//! let (mut driver, handle) = Driver::new(Settings::default(), Config::default(), Arc::clone(&poller))?;
//! let mut ready = Vec::new();
//! while !driver.is_over() {
//!     poller.wait(&mut ready, driver.timeout())?;
//!     driver.cork(); // what the clients commit goes out together, in the turn
//!     for ready in ready.iter().filter(|ready| ready.token < DRIVER_TOKENS) {
//!         // Serve the client that was added with this token.
//!     }
//!     driver.turn(&ready)?;
//! }
//! driver.finish();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod driver;

pub use driver::{Driver, spawn};
