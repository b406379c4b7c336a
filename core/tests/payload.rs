//! What a member lets the others know of it.

mod net;

use std::time::Duration;

use heirloom_core::{Copies, Event, MemberId, PAYLOAD_MAX, PayloadTooLong};
use net::Net;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn all_see_the_payload_of_a_member_and_are_told_when_it_changes() {
    let mut net = Net::with(vec![Copies::Everywhere; 3]);
    (0..3).for_each(|n| net.start(n));
    net.run(SECOND * 6);
    for (text, changes) in [("blue", true), ("blue", false), ("", true), ("green", true)] {
        net.nodes[0].set_payload(net.now, text).expect("it is short");
        net.run(Duration::from_millis(20));
        for n in [1, 2] {
            let seen =
                net.nodes[n].members().find(|member| member.id == MemberId(1)).map(|member| member.payload.clone());
            assert_eq!(seen.as_deref(), Some(text.as_bytes()));
            let events: Vec<_> = std::iter::from_fn(|| net.nodes[n].poll_event()).collect();
            assert_eq!(events.contains(&Event::MemberPayload(MemberId(1))), changes, "{text}: {events:?}");
        }
    }
    let long = vec![0; PAYLOAD_MAX + 1];
    assert_eq!(net.nodes[0].set_payload(net.now, long), Err(PayloadTooLong { bytes: PAYLOAD_MAX + 1 }));
}
