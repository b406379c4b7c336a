//! Hosts on one switch: a network namespace for each of them and one for the switch, gone when the test ends.

use std::{
    fs::File,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::{
    fd::AsFd as _,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// What addresses are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    fn address(self, host: usize) -> String {
        match self {
            Self::V4 => format!("10.77.0.{}", host + 1),
            Self::V6 => format!("fd77::{}", host + 1),
        }
    }

    /// The address of a host, as it stands before a port.
    pub(crate) fn bracketed(self, host: usize) -> String {
        match self {
            Self::V4 => self.address(host),
            Self::V6 => format!("[{}]", self.address(host)),
        }
    }

    /// A group; `interface` is the number of the one that it is on.
    pub(crate) fn group(self, interface: u32) -> String {
        match self {
            Self::V4 => "239.255.77.1:45564".into(),
            Self::V6 => format!("[ff02::77%{interface}]:45564"),
        }
    }
}

/// The switch.
pub(crate) struct Switch {
    name: String,
    hosts: usize,
}

/// Loses every packet.
const ALL: &str = "1,6 0 0 2";
/// Loses every second datagram, by chance: IPv4 (0x0800) or IPv6 (0x86dd), UDP (17), a random word below half.
const HALF: &str = "11,40 0 0 12,21 0 2 2048,48 0 0 23,5 0 0 2,21 0 4 34525,48 0 0 20,21 0 2 17,32 0 0 4294963256,\
                    53 1 0 2147483648,6 0 0 0,6 0 0 2";

impl Switch {
    /// Makes the hosts and their wires; `None` where that cannot be, and then a line says so.
    pub(crate) fn new(hosts: usize) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let switch = Self { name: format!("heirloom-{}-{number}", std::process::id()), hosts };
        // What is made is removed by `Drop`, whether all of it could be made or not.
        let made = switch.make();
        if !made {
            println!("skipped: no network namespaces here (that needs root, and ip and tc of iproute2)");
        }
        made.then_some(switch)
    }

    fn make(&self) -> bool {
        let name = &self.name;
        run(&format!("ip netns add {name}"))
            && run(&format!("ip -n {name} link add br0 type bridge mcast_snooping 0"))
            && run(&format!("ip -n {name} link set br0 up"))
            && (0..self.hosts).all(|host| self.plug_in(host))
    }

    fn plug_in(&self, host: usize) -> bool {
        let (name, there) = (&self.name, self.host(host));
        let (v4, v6) = (Family::V4.address(host), Family::V6.address(host));
        run(&format!("ip netns add {there}"))
            && run(&format!("ip -n {there} link set lo up"))
            && run(&format!("ip link add name eth0 netns {there} type veth peer name p{host} netns {name}"))
            && run(&format!("ip -n {name} link set p{host} master br0"))
            && run(&format!("ip -n {name} link set p{host} up"))
            && run(&format!("ip -n {there} addr add {v4}/24 dev eth0"))
            && run(&format!("ip -n {there} -6 addr add {v6}/64 dev eth0 nodad"))
            && run(&format!("ip -n {there} link set eth0 up"))
            && run(&format!("tc -n {name} qdisc add dev p{host} clsact"))
            && run(&format!("tc -n {name} filter add dev p{host} ingress bpf da bytecode \"{ALL}\""))
            && run(&format!("tc -n {name} filter del dev p{host} ingress"))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The namespace of a host.
    pub(crate) fn host(&self, host: usize) -> String {
        format!("{}-h{host}", self.name)
    }

    /// The number of the interface of a host.
    pub(crate) fn interface(&self, host: usize) -> u32 {
        self.enter(host, || {
            let index = std::fs::read_to_string("/proc/thread-self/net/igmp").unwrap_or_default();
            let line = index.lines().find(|line| line.contains("eth0")).and_then(|line| line.split_whitespace().next());
            line.and_then(|index| index.parse().ok()).expect("it has an interface")
        })
    }

    /// Does something on a host: a socket stays where it was made.
    pub(crate) fn enter<T: Send>(&self, host: usize, does: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.host(host));
        thread::scope(|scope| {
            let there = scope.spawn(move || {
                let namespace = File::open(path).expect("the host is there");
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("it can be entered");
                does()
            });
            there.join().expect("nothing fails there")
        })
    }

    /// Nothing passes to the host or from it.
    pub(crate) fn cut(&self, host: usize) {
        self.must(&format!("ip -n {} link set p{host} down", self.name));
    }

    pub(crate) fn heal(&self, host: usize) {
        self.must(&format!("ip -n {} link set p{host} up", self.name));
    }

    /// Nothing that the host sends arrives.
    pub(crate) fn mute(&self, host: usize) {
        self.must(&format!("tc -n {} filter add dev p{host} ingress bpf da bytecode \"{ALL}\"", self.name));
    }

    pub(crate) fn unmute(&self, host: usize) {
        self.must(&format!("tc -n {} filter del dev p{host} ingress", self.name));
    }

    /// Every second datagram to each host is lost, for each of them others.
    pub(crate) fn lose_half(&self) {
        for host in 0..self.hosts {
            self.must(&format!("tc -n {} filter add dev p{host} egress bpf da bytecode \"{HALF}\"", self.name));
        }
    }

    pub(crate) fn lose_nothing(&self) {
        for host in 0..self.hosts {
            self.must(&format!("tc -n {} filter del dev p{host} egress", self.name));
        }
    }

    fn must(&self, command: &str) {
        assert!(run(command), "{command}");
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // Whatever of them there is.
        for host in 0..self.hosts {
            run(&format!("ip netns del {}", self.host(host)));
        }
        run(&format!("ip netns del {}", self.name));
    }
}

fn run(command: &str) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
}
