//! The table of a race, as `benches/results.md` has it.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, process::Command, thread};

use crate::{
    Options,
    cells::{self, Figure, Unit},
    processes,
    servers::Contestant,
    targets, tomcat,
};

/// What was measured so far, by cell and contestant.
#[derive(Debug, Default)]
pub(crate) struct Results(BTreeMap<(String, String), Told>);

#[derive(Debug, Default)]
struct Told {
    figures: Vec<Figure>,
    broken: Vec<String>,
}

impl Results {
    pub(crate) fn add(&mut self, cell: &str, contestant: String, told: io::Result<Figure>) {
        let of = self.0.entry((cell.into(), contestant)).or_default();
        match told {
            Ok(figure) => of.figures.push(figure),
            Err(error) => of.broken.push(error.to_string()),
        }
    }

    /// The middle one of the rounds.
    pub(crate) fn middle(&self, cell: &str, contestant: &str) -> Option<&Figure> {
        let told = self.0.get(&(cell.to_owned(), contestant.to_owned()))?;
        let mut figures: Vec<_> = told.figures.iter().collect();
        figures.sort_by(|one, other| one.number.total_cmp(&other.number));
        figures.get(figures.len() / 2).copied()
    }

    fn broken(&self, cell: &str, contestant: &str) -> Option<&str> {
        self.0.get(&(cell.to_owned(), contestant.to_owned()))?.broken.first().map(String::as_str)
    }
}

/// The whole file.
pub(crate) fn write(options: &Options, contestants: &[Contestant], absent: &[String], results: &Results) -> String {
    let mut names: Vec<String> = contestants.iter().map(ToString::to_string).collect();
    names.extend(options.tomcat.is_some().then(|| tomcat::NAME.to_owned()));
    let mut text = head(options);
    absent.iter().for_each(|line| put(&mut text, line));
    put(&mut text, &format!("| | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len())));
    for cell in cells::all() {
        let reference = names.iter().take(2).find_map(|name| results.middle(cell.name(), name));
        let row = names.iter().map(|name| match (results.middle(cell.name(), name), reference) {
            (Some(figure), Some(reference)) => format!("{}{}", figure.text, ratio(figure, reference)),
            (Some(figure), None) => figure.text.clone(),
            (None, _) => results.broken(cell.name(), name).map_or_else(String::new, |why| format!("broken off: {why}")),
        });
        let row: Vec<_> = row.collect();
        if row.iter().any(|figure| !figure.is_empty()) {
            put(&mut text, &format!("| {} | {} |", cell.name(), row.join(" | ")));
        }
    }
    if options.is_whole() {
        put(&mut text, TARGETS);
        targets::rows(results).iter().for_each(|row| put(&mut text, row));
    }
    text
}

const TARGETS: &str = "
## Targets

For two shared cores with all processes on them, of the figures above and, for bytes and memory, of the programs `copies` and
`memory`; in brackets, how many times the bound. What they do not name is in [README.md](README.md).

| | target | seen | met |
|---|---|---|---|";

/// How this compares with the first of the row.
fn ratio(figure: &Figure, reference: &Figure) -> String {
    if std::ptr::eq(figure, reference) || reference.number <= 0.0 || figure.number <= 0.0 {
        return String::new();
    }
    match figure.unit {
        Unit::PerSecond | Unit::Millis | Unit::Bytes => format!(" ({:.2})", figure.number / reference.number),
    }
}

fn head(options: &Options) -> String {
    let mut text = String::from("# The race\n\n");
    put(
        &mut text,
        "Written by the command below, and by nothing else. What else is measured stands in [README.md](README.md).\n",
    );
    put(&mut text, &format!("    {}\n", options.command()));
    let date = said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let system = said("uname", &["-sr"]).unwrap_or_default();
    put(&mut text, &format!("- {date}, {system}, {processors} processors, load {load} in the last minute"));
    let redis = processes::version("redis-server").unwrap_or_else(|| "no Redis".into());
    let tomcat = options.tomcat.as_ref().map_or("Tomcat was not asked for (`--tomcat DIR`)", |_| "Tomcat by its rig");
    put(&mut text, &format!("- heirloom {}; {redis}; {tomcat}\n", env!("CARGO_PKG_VERSION")));
    put(
        &mut text,
        "All members, servers and callers run on this machine, over loopback. A figure is the middle one of the rounds, which all\n\
         contestants run in turns; in brackets, how many times that of the first of its row. *heirloom, library* has all members in\n\
         one process and callers with the handle, the others are processes; the same client speaks Redis' protocol to all of\n\
         them. *One copy* is `--durability one`, with Redis `SET` and `WAIT 1 0` sent together; Redis alone makes no copy.\n\
         *All on one core* binds callers, members and servers to the first processor. *Applied* counts until the writer has heard that the others have everything. A join is from the start of the process until\n\
         it has all and serves, of a node also from when it is first seen to hold a session; of Tomcat it includes 2 s in which it waits for members. After the kill Redis' replica is made\n\
         a master at once, by hand. Memory is what the processes take more of the machine, by session, without its value.\n",
    );
    text
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn put(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes what is written");
}
