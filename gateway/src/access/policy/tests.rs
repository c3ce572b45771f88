//! What the built-in rules and a policy file allow, and what they never do.

use super::*;

fn names() -> Names {
    Names { control: "tm/v1".into(), gateway: "gateway".into() }
}

fn identity(name: &str, roles: &[&str], site: Option<&str>) -> Identity {
    let roles: Vec<_> = roles.iter().map(|role| (*role).to_owned()).collect();
    Identity::supposed(name, &roles, site)
}

fn defaults() -> Policy {
    Policy::load(None, &names()).unwrap()
}

fn policy(text: &str) -> Policy {
    Policy::with_defaults(text, "policy.toml", &names()).unwrap()
}

fn problem(text: &str) -> String {
    Policy::with_defaults(text, "policy.toml", &names()).unwrap_err().to_string()
}

#[track_caller]
fn check(policy: &Policy, who: &Identity, expected: bool, action: Action, topics: &[&str]) {
    for topic in topics {
        let decision = policy.explain(who, &who.name, action, topic);
        assert_eq!(decision.allowed, expected, "{} {action:?} {topic}: {decision:?}", who.name);
    }
}

#[test]
fn a_device_has_its_own_topics_only() {
    let (policy, device) = (defaults(), identity("mon-1", &["device"], Some("icu")));
    use Action::{Publish, Subscribe};
    check(&policy, &device, true, Publish, &["dt/icu/mon-1/readings", "dt/icu/mon-1/a/b"]);
    check(
        &policy,
        &device,
        false,
        Publish,
        &[
            "dt/icu/mon-2/readings",
            "dt/hall/mon-1/readings",
            "cmd/icu/mon-1/x",
            "tm/v1/up/0/mon-1",
            "x",
        ],
    );
    let receipts = "tm/v1/receipt/gateway/+";
    check(&policy, &device, true, Subscribe, &["cmd/icu/mon-1/#", "cmd/icu/mon-1/x", receipts]);
    check(
        &policy,
        &device,
        false,
        Subscribe,
        &["#", "dt/#", "cmd/icu/+/x", "cmd/#", "tm/v1/up/#", "tm/v1/receipt/#", "$SYS/#"],
    );
    // Without a site no topic is meant.
    check(
        &policy,
        &identity("mon-1", &["device"], None),
        false,
        Publish,
        &["dt/icu/mon-1/readings"],
    );
}

#[test]
fn inv9_nobody_publishes_as_the_gateways_own_source() {
    use Action::Publish;
    for (name, role) in [("gateway", "agent"), ("anonymous", "anonymous"), ("gateway", "operator")]
    {
        let who = identity(name, &[role], None);
        let own = ["tm/v1/up/3/gateway", "tm/v1/status/gateway"];
        check(&defaults(), &who, false, Publish, &own);
    }
    let agent = identity("gateway-2", &["agent"], None);
    check(&defaults(), &agent, true, Publish, &["tm/v1/up/3/gateway-2"]);
}

#[test]
fn inv9_an_agent_is_bound_to_its_source_and_only_ingest_says_what_landed() {
    let policy = defaults();
    use Action::{Publish, Subscribe};
    let agent = identity("van-7", &["agent"], None);
    check(&policy, &agent, true, Publish, &["tm/v1/up/3/van-7", "tm/v1/status/van-7"]);
    check(&policy, &agent, true, Subscribe, &["tm/v1/receipt/van-7/0123456789abcdef"]);
    check(
        &policy,
        &agent,
        false,
        Publish,
        &[
            "tm/v1/up/3/van-8",
            "tm/v1/receipt/van-7/0123456789abcdef",
            "tm/v1/status/van-8",
            "dt/icu/mon-1/readings",
        ],
    );
    check(&policy, &agent, false, Subscribe, &["tm/v1/receipt/#", "tm/v1/up/+/van-7"]);
    let ingest = identity("ingest", &["ingest"], None);
    check(&policy, &ingest, true, Publish, &["tm/v1/receipt/van-7/0123456789abcdef"]);
    check(&policy, &ingest, true, Subscribe, &["tm/v1/up/+/+", "tm/v1/up/3/+"]);
    check(&policy, &ingest, false, Publish, &["tm/v1/up/3/van-7", "dt/icu/mon-1/readings"]);
    for role in ["device", "fleet", "agent", "operator", "analyst"] {
        let other = identity("van-7", &[role], Some("icu"));
        check(&policy, &other, false, Publish, &["tm/v1/receipt/van-7/0123456789abcdef"]);
    }
}

#[test]
fn operators_command_and_analysts_read() {
    let policy = defaults();
    use Action::{Publish, Subscribe};
    let operator = identity("op", &["operator"], None);
    check(&policy, &operator, true, Subscribe, &["#", "$SYS/broker/uptime", "$SYS/#", "dt/#"]);
    check(&policy, &operator, true, Publish, &["cmd/icu/mon-1/restart"]);
    check(&policy, &operator, false, Publish, &["dt/icu/mon-1/readings"]);
    let analyst = identity("ana", &["analyst"], None);
    check(&policy, &analyst, true, Subscribe, &["dt/#", "dt/icu/+/readings", "$share/bi/dt/#"]);
    check(
        &policy,
        &analyst,
        false,
        Subscribe,
        &["#", "$SYS/#", "$share/bi/#", "$share/bi", "$share//dt/#"],
    );
    check(&policy, &analyst, false, Publish, &["dt/icu/mon-1/readings", "cmd/icu/mon-1/x"]);
}

#[test]
fn whoever_has_no_role_may_nothing() {
    let nobody = identity("x", &[], Some("icu"));
    check(&defaults(), &nobody, false, Action::Publish, &["dt/icu/x/readings", "a"]);
    check(&defaults(), &nobody, false, Action::Subscribe, &["dt/icu/x/readings", "#"]);
}

#[test]
fn a_file_adds_rules_and_a_denying_one_wins() {
    let policy = policy(
        r##"
        [[rule]]
        identities = ["mon-1"]
        allow = "both"
        topics = ["lab/{client_id}/#"]
        [[rule]]
        roles = ["*"]
        deny = "subscribe"
        topics = ["dt/{site}/+/fhir"]
        "##,
    );
    let device = identity("mon-1", &["device"], Some("icu"));
    use Action::{Publish, Subscribe};
    check(&policy, &device, true, Publish, &["lab/mon-1/x", "dt/icu/mon-1/fhir"]);
    let rule = policy.explain(&device, "mon-1", Publish, "lab/mon-1/x").rule.unwrap();
    assert_eq!((&*rule.0, rule.1.as_str()), ("policy.toml, rule 1", "lab/mon-1/#"));
    // A filter that reaches a denied topic is denied whole; without a site, every site is denied.
    let analyst = identity("ana", &["analyst"], Some("icu"));
    check(&policy, &analyst, true, Subscribe, &["dt/icu/+/readings", "dt/hall/#"]);
    check(&policy, &analyst, false, Subscribe, &["dt/#", "dt/icu/#", "dt/+/+/fhir"]);
    let anywhere = identity("ana", &["analyst"], None);
    check(&policy, &anywhere, false, Subscribe, &["dt/hall/#"]);
    let denied = policy.explain(&analyst, "ana", Subscribe, "dt/#").rule.unwrap();
    assert_eq!((&*denied.0, denied.1.as_str()), ("policy.toml, rule 2", "dt/icu/+/fhir"));
}

#[test]
fn a_client_id_with_wildcards_widens_nothing() {
    let policy =
        policy("[[rule]]\nroles = [\"*\"]\nallow = \"both\"\ntopics = [\"own/{client_id}/#\"]\n");
    let who = identity("x", &[], None);
    for client_id in ["+", "#", "a/b", ""] {
        let decision = policy.explain(&who, client_id, Action::Publish, "own/a/b");
        assert!(!decision.allowed, "{client_id}");
        assert!(!policy.explain(&who, client_id, Action::Subscribe, "own/+/b").allowed);
    }
    assert!(policy.explain(&who, "a", Action::Publish, "own/a/b").allowed);
}

#[test]
fn a_file_may_leave_the_built_in_rules_out() {
    let device = identity("mon-1", &["device"], Some("icu"));
    let policy = policy("defaults = false");
    check(&policy, &device, false, Action::Publish, &["dt/icu/mon-1/readings"]);
}

#[test]
fn a_rule_that_cannot_work_is_refused_with_its_place() {
    for (text, expected) in [
        ("[[rule]]\nroles = [\"a\"]\ntopics = [\"x\"]", "policy.toml, rule 1: needs either allow"),
        ("[[rule]]\nallow = \"both\"\ntopics = [\"x\"]", "needs roles or identities"),
        ("[[rule]]\nroles = [\"a\"]\nallow = \"both\"\ntopics = []", "needs topics"),
        (
            "[[rule]]\nroles = [\"a\"]\nallow = \"both\"\ntopics = [\"a/#/b\"]",
            "`a/#/b` is not a topic filter",
        ),
        ("[[rule]]\nroles = [\"a\"]\nallow = \"both\"\ntopics = [\"a/{x}\"]", "unknown template"),
        (
            "[[rule]]\nroles = [\"a\"]\nallow = \"write\"\ntopics = [\"a\"]",
            "policy.toml is not valid",
        ),
        ("rules = []", "policy.toml is not valid"),
    ] {
        let found = problem(text);
        assert!(found.contains(expected), "{text}: {found}");
    }
}
