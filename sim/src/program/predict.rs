//! Tells what to expect of settings.

use clap::Args;
use heirloom_sim::{BadPlan, Stored, predict::table};

use super::{Done, Refused, Status, show::print, source::config_line};

#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// Another setting, like drop_time=5s, frequency=1s, probe_time=2s or probe_attempts=5; as often as needed.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// How many members there are.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1024))]
    members: u32,
    /// How many of a thousand datagrams are lost, with commas between.
    #[arg(long, value_delimiter = ',', default_value = "10,50,100,200,300,500", value_parser = clap::value_parser!(u32).range(0..1000))]
    loss: Vec<u32>,
    /// Beats go to the group and to configured addresses as well: both must be lost.
    #[arg(long)]
    both: bool,
}

impl Predict {
    pub(crate) fn perform(&self) -> Done {
        let mut text = "heirloom-sim 1\nseed 0\nhosts 2\nhealed 0s\n".to_owned();
        for setting in &self.settings {
            text = text + &config_line(setting)? + "\n";
        }
        let parsed: Result<Stored, BadPlan> = text.parse();
        let Stored { plan, .. } = parsed.map_err(|BadPlan { story, .. }| Refused(story))?;
        print(&table(&plan.setup.config, self.members, &self.loss, if self.both { 2 } else { 1 }))?;
        Ok(Status::Kept)
    }
}
