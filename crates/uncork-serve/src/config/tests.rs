use std::path::Path;
use std::time::Duration;

use super::*;
use crate::log::{LogFormat, LogTarget};
use crate::rules::{Etag, Redirect, Symlinks};

const EXAMPLE: &str = include_str!("../../../../docs/serve-example.toml");

fn parse(text: &str) -> Config {
    Config::parse(text, "/etc/uncork/uncork.toml").unwrap()
}

/// The error of a text, without the name of the file.
fn check_error(text: &str, expected: &str) {
    let error = match Config::parse(text, "t") {
        Ok(config) => panic!("{text:?} is taken: {config:?}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(error, format!("t:{expected}"), "of {text:?}");
}

/// The error of lines that follow a whole site of four lines.
fn check_site_error(lines: &str, expected: &str) {
    check_error(
        &format!("[[site]]\nhosts = ['a']\nroot = '/a'\n{lines}"),
        expected,
    );
}

#[test]
fn the_example_is_read() {
    let config = parse(EXAMPLE);
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.threads, Some(2));
    assert_eq!(config.admin, Some("127.0.0.1:9180".parse().unwrap()));
    assert_eq!(config.user.as_deref(), Some("www-data"));
    assert_eq!(config.limits, Limits::default());
    let log = config.log.unwrap();
    assert_eq!(log.format, LogFormat::Combined);
    assert_eq!(log.to, LogTarget::File("/var/log/uncork/access.log".into()));
    assert_eq!(config.hosts.unwrap().path, Path::new("/srv/hosts"));
    let [site, app, rest] = &config.sites[..] else {
        panic!("three sites");
    };
    assert_eq!(site.hosts.len(), 2);
    assert_eq!(
        site.rules.cache_control.as_deref(),
        Some("public, max-age=300")
    );
    assert_eq!(
        site.rules.error_pages,
        [
            (404, "/404.html".to_owned()),
            (503, "/sorry.html".to_owned())
        ]
    );
    assert_eq!(site.rules.types[0].0, "webmanifest");
    assert!(site.rules.headers[1].path.matches("/assets/a/b.js"));
    assert_eq!(site.rules.headers[0].set[0].0, "X-Content-Type-Options");
    assert_eq!(
        site.rules.redirects[0],
        Redirect {
            from: "/blog/*".to_owned(),
            to: "https://blog.example.org/*".to_owned(),
            status: 308,
        }
    );
    assert_eq!(site.rules.redirects[1].status, 301);
    assert_eq!(app.rules.spa.as_deref(), Some("/index.html"));
    assert_eq!(app.rules.etag, Etag::Content);
    assert_eq!(rest.hosts, [HostPattern::Default]);
}

#[test]
fn the_example_names_every_key() {
    for key in [
        "listen",
        "threads",
        "admin",
        "user",
        "hosts",
        "index",
        "html_suffix",
        "spa",
        "listing",
        "hidden",
        "symlinks",
        "precompressed",
        "etag",
        "cache_control",
        "error_pages",
        "types",
        "head_bytes",
        "target_bytes",
        "headers",
        "body_bytes",
        "head_seconds",
        "idle_seconds",
        "send_bytes_per_second",
        "send_window_seconds",
        "requests_per_connection",
        "connections",
        "connections_per_address",
        "ranges",
        "cache_entries",
        "cache_bytes",
        "drain_seconds",
        "format",
        "file",
        "per_host",
        "root",
        "path",
        "set",
        "from",
        "to",
        "status",
    ] {
        let named = EXAMPLE.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        assert!(named, "{key}");
    }
}

#[test]
fn a_site_replaces_defaults() {
    let config = parse(
        "[defaults]\nindex = ['a.html']\nlisting = true\nsymlinks = 'deny'\ncache_control = 'no-cache'\n\
         [[site]]\nhosts = ['a']\nroot = 'site'\ncache_control = ''\nindex = []\n",
    );
    let site = &config.sites[0];
    assert_eq!(site.root, Path::new("/etc/uncork/site"));
    assert!(site.rules.listing);
    assert_eq!(site.rules.symlinks, Symlinks::Deny);
    assert_eq!(site.rules.cache_control, None);
    assert!(site.rules.index.is_empty());
}

#[test]
fn limits_are_taken() {
    let config = parse(
        "hosts = 'h'\n[limits]\nhead_bytes = 4096\nidle_seconds = 0.5\ndrain_seconds = 0\nconnections_per_address = 0\n",
    );
    assert_eq!(config.limits.head_bytes, 4096);
    assert_eq!(config.limits.target_bytes, 4096);
    assert_eq!(config.limits.idle_time, Duration::from_millis(500));
    assert_eq!(config.limits.drain_time, Duration::ZERO);
    assert_eq!(config.limits.connections_per_address, 0);
}

#[test]
fn what_is_wrong_at_the_top() {
    check_error(
        "",
        "1:1: nothing to serve: neither `hosts` nor a [[site]] is given",
    );
    check_error("hosts = ''", "1:9: `hosts` is empty");
    check_error(
        "hosts = 'h'\nthreads = 0",
        "2:11: `threads` is 0, and has to be between 1 and 1024",
    );
    check_error(
        "hosts = 'h'\nlisten = ['é', '1']",
        "2:11: \"é\" is no address with a port, such as 0.0.0.0:80 or [::1]:8080",
    );
    check_error(
        "hosts = 'h' # é\nlisten = [ '[::]:80', '[0::0]:80' ]",
        "2:23: [0::0]:80 is already listened at by `listen`",
    );
    check_error(
        "hosts = 'h'\nadmin = '1.1.1.1:1'\nlisten = ['1.1.1.1:1']",
        "2:9: 1.1.1.1:1 is already listened at by `listen`",
    );
    check_error(
        "hosts = 'h'\nuser = 'a:b'",
        "2:8: \"a:b\" is no user's name",
    );
    check_error(
        "hosts = 'h'\n[defaults]\nroot = 'r'",
        "3:8: `root` belongs to a [[site]]: [defaults] holds rules alone",
    );
}

#[test]
fn what_is_wrong_in_limits_and_log() {
    check_error(
        "hosts = 'h'\n[limits]\nheaders = 0",
        "3:11: `headers` is 0, and has to be between 1 and 128",
    );
    check_error(
        "hosts = 'h'\n[limits]\nhead_bytes = 1000\ntarget_bytes = 2000",
        "4:16: `target_bytes` is more than `head_bytes` (1000), of which it is a part",
    );
    for bad in ["0", "-1", "nan", "inf", "1e300", "0.0001"] {
        let error = Config::parse(&format!("hosts='h'\n[limits]\nidle_seconds = {bad}"), "t");
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("t:3:16: `idle_seconds` is "), "{error}");
    }
    check_error(
        "hosts = 'h'\n[limits]\nhead_seconds = 0",
        "3:16: `head_seconds` is 0, and has to be between 0.001 and 31622400",
    );
    check_error(
        "hosts = 'h'\n[limits]\ndrain_seconds = -1",
        "3:17: `drain_seconds` is -1, and has to be 0, or between 0.001 and 31622400",
    );
    let both = "[log] needs one of `file` and `per_host`, and not both";
    check_error(
        "hosts = 'h'\n[log]\nformat = 'json'",
        &format!("2:1: {both}"),
    );
    check_error(
        "hosts = 'h'\n[log]\nfile = '-'\nper_host = 'l'",
        &format!("2:1: {both}"),
    );
}

/// What toml and serde find: their words may change, the place may not.
#[test]
fn what_the_parser_finds() {
    for (text, place, word) in [
        ("hosts = 'h'\nlisten = [", "t:2:", ""),
        (
            "hosts = 'h'\n  thread = 1",
            "t:2:3: ",
            "unknown field `thread`",
        ),
        ("hosts = 'h'\nhosts = 'i'", "t:2:1: ", "duplicate"),
        ("hosts = 1", "t:1:9: ", "invalid type"),
        ("hosts = 'h'\nthreads = -1", "t:2:11: ", "invalid value"),
        (
            "hosts = 'h'\n[limits]\nhead_second = 1",
            "t:3:1: ",
            "unknown field",
        ),
        (
            "hosts = 'h'\n[limits]\nhead_seconds = '1'",
            "t:3:16: ",
            "a number of seconds",
        ),
        (
            "hosts = 'h'\n[log]\nformat = 'xml'\nfile = '-'",
            "t:3:10: ",
            "unknown variant `xml`",
        ),
        (
            "[[site]]\nhosts = ['a']\nroot = '/a'\netag = 'no'",
            "t:4:8: ",
            "unknown variant `no`",
        ),
        (
            "[[site]]\nhosts = ['a']\nroot = '/a'\nnope = 1",
            "t:4:1: ",
            "unknown field `nope`",
        ),
        (
            "# é\n[site]\nhosts = ['a']\nroot = '/a'",
            "t:2:1: ",
            "there may be several of these: write [[site]], with two brackets",
        ),
        (
            "[[site]]\nhosts = ['a']\nroot = '/a'\n[site.headers]\npath = '/'\nset = {}",
            "t:4:1: ",
            "write [[site.headers]]",
        ),
        (
            "[[site]]\nhosts = ['a']\nroot = '/a'\n[site.redirects]\nfrom = '/a'\nto = '/b'",
            "t:4:1: ",
            "write [[site.redirects]]",
        ),
        ("site = 1", "t:1:8: ", "invalid type"),
        (
            "[[site]]\nhosts = 'a'\nroot = '/a'",
            "t:2:9: ",
            "invalid type",
        ),
        (
            "[[site]]\nhosts = ['a']\nroot = '/a'\n[[site.redirects]]\nfrom = '/'",
            "t:4:1: ",
            "missing field `to`",
        ),
        (
            "[[site]]\nhosts = ['a']\nroot = '/a'\n[site.types]\na = 1",
            "t:5:5: ",
            "invalid type",
        ),
    ] {
        let error = Config::parse(text, "t").unwrap_err().to_string();
        assert!(
            error.starts_with(place) && error.contains(word),
            "{text:?}: {error}"
        );
    }
}

#[test]
fn what_is_wrong_with_hosts() {
    check_error("[[site]]\nroot = '/a'", "1:1: this [[site]] has no `hosts`");
    check_error(
        "\n[[site]]\nhosts = ['a']",
        "2:1: this [[site]] has no `root`",
    );
    check_error("[[site]]\nhosts = []\nroot = '/a'", "2:9: `hosts` is empty");
    for bad in ["", "a b", "*", "a.*", "../x", "a\\nb"] {
        let text = format!("[[site]]\nhosts = [\"{bad}\"]\nroot = '/a'");
        let error = Config::parse(&text, "t").unwrap_err().to_string();
        assert!(
            error.starts_with("t:2:10: ") && error.contains("is no host"),
            "{error}"
        );
    }
    check_site_error(
        "[[site]]\nroot = '/b'\nhosts = ['b', 'A.']",
        "6:15: the host A. is already a site's at t:2:10",
    );
    check_site_error(
        "[[site]]\nroot = '/b'\nhosts = ['*.c', '*.C']",
        "6:17: the host *.C is already a site's at t:6:10",
    );
}

#[test]
fn what_is_wrong_with_headers() {
    let rule = |set: &str| format!("[[site.headers]]\npath = '/'\nset = {{ {set} }}");
    let value = "is no header's value: it has to be printable ASCII, without a line break and \
                 without a space at its ends";
    check_site_error(
        &rule(r#"X = "a\r\nSet-Cookie: b""#),
        &format!(r#"6:13: "a\r\nSet-Cookie: b" {value}"#),
    );
    check_site_error(
        &rule(r#"X = "a\u0000""#),
        &format!(r#"6:13: "a\0" {value}"#),
    );
    check_site_error(&rule("X = ' a'"), &format!(r#"6:13: " a" {value}"#));
    check_site_error(&rule(r#""X\n" = 'a'"#), "6:9: \"X\\n\" is no header's name");
    check_site_error(&rule("'' = 'a'"), "6:9: \"\" is no header's name");
    check_site_error(
        &rule("Content-length = '1'"),
        "6:9: the header Content-length is the server's own: it can't be set or taken away",
    );
    check_site_error(
        &rule("X = 'a', content-encoding = ''"),
        "6:18: the header content-encoding is the server's own: it can't be set or taken away",
    );
    for name in ["ETag", "last-modified"] {
        check_site_error(
            &rule(&format!("{name} = 'a'")),
            &format!(
                "6:9: the header {name} is the server's own: an empty value leaves it out, and the key \
                 `etag` of the site says of what ETags are made"
            ),
        );
        let left_out = rule(&format!("{name} = ''"));
        parse(&format!("[[site]]\nhosts = ['a']\nroot = '/a'\n{left_out}"));
    }
    check_site_error(
        &rule("X = 'a', x = 'b'"),
        "6:18: the header x is set twice by one rule",
    );
    check_site_error(
        "[[site.headers]]\npath = '/a**'\nset = {}",
        "5:8: \"/a**\" is no glob over paths: recursive wildcards must form a single path component",
    );
    check_site_error(
        "[[site.headers]]\npath = 'a'\nset = {}",
        "5:8: \"a\" is no glob over paths: it would fit none, as each begins with /: in every folder it is /**/a",
    );
    check_site_error(
        "[[site.headers]]\npath = '*.js'\nset = {}",
        "5:8: \"*.js\" is no glob over paths: it would fit none, as each begins with /: in every folder it is /**/*.js",
    );
    check_site_error(
        r#"cache_control = "a\nb""#,
        &format!(r#"4:17: "a\nb" {value}"#),
    );
    check_site_error(
        "types = { a = 'text' }",
        "4:15: \"text\" is no media type, such as text/plain; charset=utf-8",
    );
    check_site_error(
        "types = { '.a' = 'a/b' }",
        "4:11: \".a\" is no extension: without a dot or a slash, and each once",
    );
    check_site_error(
        "types = { A = 'a/b', a = 'a/b' }",
        "4:22: \"a\" is no extension: without a dot or a slash, and each once",
    );
}

#[test]
fn what_is_wrong_with_paths() {
    check_site_error(
        "spa = 'a'",
        "4:7: \"a\" is no path from the root: it has to begin with /",
    );
    check_site_error(
        "spa = '/../a'",
        "4:7: \"/../a\" is no path from the root: it has a `.` or `..` segment",
    );
    check_site_error(
        "spa = '/a/'",
        "4:7: \"/a/\" is no path from the root: it has to be a file",
    );
    let hidden =
        "would never be served: a name in it begins with a dot (`hidden = true` serves those)";
    check_site_error("spa = '/.app'", &format!("4:7: \"/.app\" {hidden}"));
    check_site_error(
        "error_pages = { 404 = '/a', 503 = '/a/.b/c' }",
        &format!("4:35: \"/a/.b/c\" {hidden}"),
    );
    check_error(
        "[defaults]\nhidden = true\nspa = '/.app'\n[[site]]\nhosts = ['a']\nroot = '/a'\nhidden = false",
        &format!("7:10: \"/.app\" {hidden}"),
    );
    for pages in [
        "hidden = true\nspa = '/.app'",
        "spa = '/.well-known/app'",
        "hidden = false\nspa = '/app.html'",
    ] {
        parse(&format!("[[site]]\nhosts = ['a']\nroot = '/a'\n{pages}"));
    }
    check_site_error("index = ['a/b']", "4:10: \"a/b\" is no name of a file");
    check_site_error(
        "error_pages = { 200 = '/a' }",
        "4:17: \"200\" is no status with a page: 403, 404, 405 or 503",
    );
    check_site_error(
        "error_pages = { 404 = '//a' }",
        "4:23: \"//a\" is no path from the root: it has an empty segment",
    );
    let rule = |from: &str, to: &str| format!("[[site.redirects]]\nfrom = '{from}'\nto = '{to}'");
    for (from, to, expected) in [
        (
            "/a",
            "b",
            "6:6: \"b\" can't be redirected to: it is neither a path nor an http(s) URL",
        ),
        (
            "/a",
            "//b",
            "6:6: \"//b\" can't be redirected to: it is neither a path nor an http(s) URL",
        ),
        (
            "/a",
            "javascript:b",
            "6:6: \"javascript:b\" can't be redirected to: it is neither a path nor an http(s) URL",
        ),
        (
            "/a",
            "/b c",
            "6:6: \"/b c\" can't be redirected to: it has to be printable ASCII without spaces (percent-encode the rest)",
        ),
        (
            "/a",
            "/b/*",
            "6:6: \"/b/*\" can't be redirected to: its `*` stands for nothing: `from` has none",
        ),
        (
            "/a/*",
            "/*/b",
            "6:6: \"/*/b\" can't be redirected to: a `*` may only stand at its end",
        ),
        (
            "/a/*",
            "http://b*",
            "6:6: \"http://b*\" can't be redirected to: its `*` would be a part of the host",
        ),
        (
            "/a",
            "/a",
            "6:6: \"/a\" can't be redirected to: it is where it comes from",
        ),
        (
            "/a",
            "/\\b",
            "6:6: \"/\\\\b\" can't be redirected to: it has a backslash, which browsers take for a slash",
        ),
        (
            "/a%20b",
            "/b",
            "5:8: \"/a%20b\" is no path from the root: it is percent-encoded, and would fit none: paths are compared decoded",
        ),
        (
            "/a*",
            "/b",
            "5:8: \"/a*\" is no path from the root: a `*` may only stand at the end, after a slash",
        ),
    ] {
        check_site_error(&rule(from, to), expected);
    }
    for (from, to) in [
        ("/l/*", "/l/m/*"),
        ("/l/*", "/l/x"),
        ("/l/*", "/l/?p=*"),
        ("/l/*", "/%6c/x#y"),
        ("/*", "/sorry.html"),
        ("/a", "/a?b"),
        ("/a b", "/a%20b"),
    ] {
        let expected = format!(
            "6:6: \"{to}\" can't be redirected to: it is redirected by this rule again, for ever"
        );
        check_site_error(&rule(from, to), &expected);
    }
    for redirects in [
        rule("/l/*", "/m/l/*"),
        rule("/l/*", "/l"),
        rule("/a", "/a/"),
        rule("/a", "/?x=/a"),
        rule("/100%", "/b"),
        rule("/l/*", "https://a/l/*"),
        // The earlier one is taken.
        rule("/l/m/*", "/m") + "\n" + &rule("/l/*", "/l/m/*"),
        rule("/l/m", "/m") + "\n" + &rule("/l/*", "/l/m"),
    ] {
        parse(&format!(
            "[[site]]\nhosts = ['a']\nroot = '/a'\n{redirects}"
        ));
    }
    check_site_error(
        "redirects = [{ from = '/a', to = '/b', status = 300 }]",
        "4:49: 300 is no redirect's status: 301, 302, 303, 307 or 308",
    );
}

#[test]
fn load_looks_at_folders() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uncork.toml");
    std::fs::write(&path, "[[site]]\nhosts = ['a']\nroot = 'site'\n").unwrap();
    let site = folder.path().join("site");
    let expected = |reason: &str| format!("{}:3:8: {}: {reason}", path.display(), site.display());
    let error = Config::load(&path).unwrap_err().to_string();
    assert_eq!(error, expected("No such file or directory (os error 2)"));
    std::fs::write(&site, "").unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    assert_eq!(error, expected("this is no folder"));
    std::fs::remove_file(&site).unwrap();
    std::fs::create_dir(&site).unwrap();
    assert_eq!(Config::load(&path).unwrap().sites[0].root, site);
    assert!(matches!(
        Config::load(&folder.path().join("none")),
        Err(ConfigError::Unreadable { .. })
    ));
}

#[test]
fn of_the_command_line() {
    let config = Config::of_root("/srv/a".into());
    assert_eq!(config.sites[0].hosts, [HostPattern::Default]);
    let config = Config::of_hosts("/srv/h".into());
    assert!(config.sites.is_empty() && config.hosts.is_some());
}

proptest::proptest! {
    /// No text panics.
    #[test]
    fn any_text_is_answered(text in "(\\PC|[\n\\[\\]='\"]){0,200}") {
        let _ = Config::parse(&text, "t");
    }
}
