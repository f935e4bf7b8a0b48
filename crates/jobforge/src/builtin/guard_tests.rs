//! Spellings of targets, as an attacker would write them.

use super::*;

fn policy(allow: &[&str]) -> Policy {
    let allow: Vec<String> = allow.iter().map(|&entry| entry.to_owned()).collect();
    Policy::new(&allow, &[8443]).expect("a readable list")
}

fn judge(policy: &Policy, url: &str) -> Result<u16, String> {
    let url = Url::parse(url).map_err(|error| format!("parse: {error}"))?;
    policy.check_url(&url).map_err(|error| match error {
        BadUrl::Malformed(problem) => problem.to_owned(),
        BadUrl::Blocked(blocked) => blocked.rule.to_owned(),
    })
}

#[test]
fn forbidden_targets_are_refused_in_every_spelling() {
    let cases = [
        ("http://127.0.0.1/", "loopback"),
        ("http://127.0.0.1:80/", "loopback"),
        ("https://127.0.0.1/", "loopback"),
        ("http://127.1/", "loopback"),
        ("http://127.0.1/", "loopback"),
        ("http://127.255.255.254/", "loopback"),
        ("http://2130706433/", "loopback"),
        ("http://0x7f000001/", "loopback"),
        ("http://0X7F000001/", "loopback"),
        ("http://0x7f.1/", "loopback"),
        ("http://0x7f.0x0.0x0.0x1/", "loopback"),
        ("http://0177.0.0.1/", "loopback"),
        ("http://0177.0.0.01/", "loopback"),
        ("http://017700000001/", "loopback"),
        ("http://127.0.0.1./", "loopback"),
        ("http://%31%32%37.0.0.1/", "loopback"),
        ("http://１２７.０.０.１/", "loopback"),
        ("http://①②⑦.⓪.⓪.①/", "loopback"),
        ("http://127。0。0。1/", "loopback"),
        ("http:\\\\127.0.0.1\\", "loopback"),
        ("http:127.0.0.1", "loopback"),
        ("http:///127.0.0.1/", "loopback"),
        ("  http://127.0.0.1/", "loopback"),
        ("ht\ntp://127.0.\t0.1/", "loopback"),
        ("http://[::1]/", "loopback"),
        ("http://[0:0:0:0:0:0:0:1]/", "loopback"),
        ("http://[0000::0001]/", "loopback"),
        ("http://[::ffff:127.0.0.1]/", "loopback"),
        ("http://[::ffff:7f00:1]/", "loopback"),
        ("http://[0:0:0:0:0:FFFF:7F00:0001]/", "loopback"),
        ("http://0/", "this-network"),
        ("http://0.0.0.0/", "this-network"),
        ("http://0.1.2.3/", "this-network"),
        ("http://0x0/", "this-network"),
        ("http://[::]/", "unspecified"),
        ("http://[::ffff:0.0.0.0]/", "this-network"),
        ("http://10.0.0.1/", "private"),
        ("http://10.255.255.255/", "private"),
        ("http://167772161/", "private"),
        ("http://012.0.0.1/", "private"),
        ("http://172.16.0.1/", "private"),
        ("http://172.31.255.255/", "private"),
        ("http://192.168.0.1/", "private"),
        ("http://192.168.257/", "private"),
        ("http://0xc0a80001/", "private"),
        ("http://[::ffff:10.0.0.1]/", "private"),
        ("http://[fc00::1]/", "private"),
        ("http://[fd00:ec2::254]/latest/meta-data/", "private"),
        ("http://[fdff:ffff::1]/", "private"),
        ("http://169.254.169.254/latest/meta-data/", "link-local"),
        ("http://169.254.43518/", "link-local"),
        ("http://2852039166/", "link-local"),
        ("http://0xa9fea9fe/", "link-local"),
        ("http://0251.0376.0251.0376/", "link-local"),
        ("http://[::ffff:169.254.169.254]/", "link-local"),
        ("http://[fe80::1]/", "link-local"),
        ("http://[febf::1]/", "link-local"),
        ("http://[fec0::1]/", "site-local"),
        ("http://100.64.0.1/", "shared-nat"),
        ("http://100.127.255.255/", "shared-nat"),
        ("http://192.0.0.8/", "protocol"),
        ("http://192.0.2.1/", "documentation"),
        ("http://198.51.100.1/", "documentation"),
        ("http://203.0.113.1/", "documentation"),
        ("http://192.88.99.1/", "6to4-relay"),
        ("http://198.18.0.1/", "benchmark"),
        ("http://198.19.255.255/", "benchmark"),
        ("http://224.0.0.1/", "multicast"),
        ("http://239.255.255.255/", "multicast"),
        ("http://240.0.0.1/", "reserved"),
        ("http://255.255.255.255/", "reserved"),
        ("http://4294967295/", "reserved"),
        ("http://[::127.0.0.1]/", "ipv4-compatible"),
        ("http://[::7f00:1]/", "ipv4-compatible"),
        ("http://[::ffff:0:127.0.0.1]/", "ipv4-translated"),
        ("http://[64:ff9b::127.0.0.1]/", "nat64"),
        ("http://[64:ff9b::a9fe:a9fe]/", "nat64"),
        ("http://[64:ff9b:1::1]/", "nat64"),
        ("http://[2002:7f00:1::]/", "6to4"),
        ("http://[2002:a9fe:a9fe::1]/", "6to4"),
        ("http://[2001::1]/", "teredo"),
        ("http://[2001:0:53aa:64c::1]/", "teredo"),
        ("http://[2001:2::1]/", "benchmark"),
        ("http://[2001:10::1]/", "protocol"),
        ("http://[2001:20::1]/", "protocol"),
        ("http://[2001:db8::1]/", "documentation"),
        ("http://[3fff:fff::1]/", "documentation"),
        ("http://[5f00::1]/", "segment-routing"),
        ("http://[100::1]/", "discard"),
        ("http://[100:0:0:1::1]/", "dummy"),
        ("http://[ff02::1]/", "multicast"),
        ("http://[1234::1]/", "not-global"),
        ("http://[4000::1]/", "not-global"),
        ("http://[9000::1]/", "not-global"),
        ("http://8.8.8.8:22/", "port"),
        ("http://[2606:4700::1111]:6379/", "port"),
    ];
    for (url, rule) in cases {
        assert_eq!(judge(&policy(&[]), url), Err(rule.to_owned()), "{url}");
    }
}

#[test]
fn shapes_that_are_never_requested_are_refused() {
    let cases = [
        ("file:///etc/passwd", "http://"),
        ("gopher://127.0.0.1/", "http://"),
        ("ftp://8.8.8.8/", "http://"),
        ("unix:/var/run/docker.sock", "http://"),
        ("http://user@8.8.8.8/", "user name"),
        ("http://:pass@8.8.8.8/", "user name"),
        ("http://8.8.8.8@127.0.0.1/", "user name"),
        ("http://[fe80::1%25eth0]/", "parse"),
        ("http://256.0.0.1/", "parse"),
        ("http://0x100000000/", "parse"),
        ("http:///", "parse"),
        ("http://exa mple/", "parse"),
    ];
    for (url, problem) in cases {
        let error = judge(&policy(&[]), url).expect_err(url);
        assert!(error.contains(problem), "{url}: {error}");
    }
    let long = format!("http://{}/", ["a"; 130].join("."));
    assert!(judge(&policy(&[]), &long).expect_err("too long").contains("253"));
}

#[test]
fn public_targets_pass() {
    let urls = [
        "http://8.8.8.8/",
        "https://1.1.1.1/",
        "http://[2606:4700::1111]/",
        "https://9.9.9.9:8443/",
        "http://172.32.0.1/",
    ];
    for url in urls {
        judge(&policy(&[]), url).expect(url);
    }
    assert_eq!(
        judge(&policy(&[]), "https://example.com/"),
        Ok(443),
        "names are judged when they are resolved"
    );
}

#[test]
fn the_operators_list_opens_what_it_says_and_no_more() {
    let policy = policy(&["10.1.2.0/24", "127.0.0.1:9000", "fd00::/8", "[::1]:9000"]);
    for url in [
        "http://10.1.2.3:5000/",
        "http://127.1:9000/",
        "http://[::ffff:127.0.0.1]:9000/",
        "http://[fdab::1]/",
        "http://[::1]:9000/",
    ] {
        judge(&policy, url).expect(url);
    }
    for url in [
        "http://10.1.3.1/",
        "http://127.0.0.1/",
        "http://127.0.0.2:9000/",
        "http://[fc00::1]/",
        "http://[::1]/",
    ] {
        judge(&policy, url).expect_err(url);
    }
}

#[test]
fn unreadable_entries_are_named_with_their_fault() {
    for (entry, problem) in [
        ("", "not an IP address"),
        ("localhost", "not an IP address"),
        ("10.0.0.0/33", "more bits"),
        ("10.0.0.0/x", "no number"),
        ("10.1.2.3/8", "beyond"),
        ("fd00::1/8", "beyond"),
        ("::ffff:10.0.0.1", "write it as IPv4"),
        ("10.0.0.0/8:99999", "port"),
        ("[fd00::/8", "without"),
        ("[fd00::/8]x", "after"),
    ] {
        let error = Policy::new(&[entry.to_owned()], &[]).expect_err(entry);
        assert!(
            error.problem.contains(problem) && error.to_string().contains("JOBFORGE_HTTP_ALLOW_PRIVATE"),
            "{error}"
        );
    }
    for entry in ["0.0.0.0/0", "::/0", "127.0.0.1/32", "::1/128", " 10.0.0.0/8 "] {
        Policy::new(&[entry.to_owned()], &[]).expect(entry);
    }
}

#[test]
fn of_a_mixed_answer_only_the_public_addresses_are_used() {
    let at = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), 80);
    let policy = policy(&[]);
    let kept =
        policy.survivors(vec![at("8.8.8.8"), at("127.0.0.1"), at("::ffff:10.0.0.1"), at("2606:4700::1")]);
    assert_eq!(kept, Ok(vec![at("8.8.8.8"), at("2606:4700::1")]));
    let none = policy.survivors(vec![at("169.254.169.254"), at("::1")]);
    assert_eq!(none, Err(Blocked { rule: "link-local" }));
}

#[test]
fn a_refusal_names_rule_and_setting_and_no_address() {
    let text = Blocked { rule: "private" }.to_string();
    assert!(text.contains("`private`") && text.contains("JOBFORGE_HTTP_ALLOW_PRIVATE"), "{text}");
    assert!(Blocked { rule: "port" }.to_string().contains("JOBFORGE_HTTP_ALLOW_PORTS"));
}
