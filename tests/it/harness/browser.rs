//! A real Chromium, driven through Debian's chromedriver in the words of W3C WebDriver.
//!
//! Chromium is a guarded child of its own, with a fresh profile and headless, and chromedriver is
//! told where it listens: a browser that chromedriver starts itself outlives it when that is killed.
//! A page is looked at as a person would: by what can be seen and clicked. Beside that the
//! browser tells what no person sees: what its console complained of and what it asked the network
//! for. Nothing here knows what the pages hold.

use std::ffi::OsStr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::guard::{Guarded, Spec, clean_environment, program, tail};
use super::http::{Http, send};
use super::port::free_port;
use super::wait::{PATIENCE, eventually, until};

/// Nothing that asks the network by itself, and no sandbox: the tests may run as root.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
];
/// How often another port is tried when somebody else was faster.
const PORT_ATTEMPTS: usize = 5;
/// The name under which an element is told in WebDriver.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

#[derive(Debug)]
pub struct Browser {
    driver: Http,
    session: String,
    _chromedriver: Guarded,
    _chromium: Guarded,
    dir: TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let (chromium, debugger) = chromium(dir.path()).await;
        let (chromedriver, driver) = chromedriver(dir.path()).await;
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "debuggerAddress": debugger },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let answer = ask(&driver, Method::POST, "/session", Some(&wanted)).await;
        let session = answer["sessionId"].as_str().expect("a session").to_owned();
        Self { driver, session, _chromedriver: chromedriver, _chromium: chromium, dir }
    }

    /// Returns when the page has loaded.
    pub async fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url })).await;
    }

    pub async fn url(&self) -> String {
        text(&self.get("url").await)
    }

    /// As large as a window of this many CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", &metrics).await;
    }

    /// `light` or `dark`, as a person's system says.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", &features).await;
    }

    /// From the next page on, none may run scripts.
    pub async fn forbid_scripts(&self) {
        self.command("Emulation.setScriptExecutionDisabled", &json!({ "value": true })).await;
    }

    /// The text that can be seen in the first element that fits; `None` if there is none.
    pub async fn text(&self, selector: &str) -> Option<String> {
        let id = self.find(selector).await?;
        // A panel that is sent again may replace it in between.
        Some(text(&self.try_get(&format!("element/{id}/text")).await?))
    }

    /// Waits until the text of the first element that fits holds `words`.
    pub async fn sees(&self, selector: &str, words: &str) {
        let what = format!("{selector} shows {words:?}");
        let seen = async || self.text(selector).await.is_some_and(|text| text.contains(words));
        until(PATIENCE, &what, seen).await;
    }

    /// Waits until the element is there and takes a click.
    pub async fn click(&self, selector: &str) {
        until(PATIENCE, &format!("{selector} can be clicked"), async || {
            let Some(id) = self.find(selector).await else { return false };
            self.try_post(&format!("element/{id}/click"), &json!({})).await.is_some()
        })
        .await;
    }

    /// Waits until there is such an element.
    pub async fn is_there(&self, selector: &str) {
        until(PATIENCE, &format!("{selector} is there"), async || {
            self.find(selector).await.is_some()
        })
        .await;
    }

    /// Waits until there is no such element.
    pub async fn is_gone(&self, selector: &str) {
        until(PATIENCE, &format!("{selector} is gone"), async || {
            self.find(selector).await.is_none()
        })
        .await;
    }

    /// Waits until a function body that runs in the page returns `value`.
    pub async fn becomes(&self, script: &str, value: &Value) {
        until(PATIENCE, &format!("{script} is {value}"), async || {
            self.evaluate(script).await == *value
        })
        .await;
    }

    /// A key, wherever the focus is: `Tab`, `Enter`, `Escape`, or what it types.
    pub async fn press(&self, key: &str) {
        let value = match key {
            "Tab" => "\u{e004}",
            "Enter" => "\u{e007}",
            "Escape" => "\u{e00c}",
            typed => typed,
        };
        let strokes = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": value }));
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.post("actions", &json!({ "actions": [keyboard] })).await;
    }

    /// The whole page as a PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let whole = json!({ "captureBeyondViewport": true });
        let command = json!({ "cmd": "Page.captureScreenshot", "params": whole });
        let taken = self.post("goog/cdp/execute", &command).await;
        BASE64.decode(text(&taken["data"])).expect("a picture")
    }

    /// Types into a field; a path, where it is one for files.
    pub async fn type_into(&self, selector: &str, words: &str) {
        let id = self.find(selector).await.unwrap_or_else(|| panic!("there is no {selector}"));
        self.post(&format!("element/{id}/value"), &json!({ "text": words })).await;
    }

    /// What a function body returns that runs in the page.
    pub async fn evaluate(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// What the console complained of since it was asked last.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser").await;
        let grave = entries.iter().filter(|entry| entry["level"] != "INFO");
        grave.map(|entry| text(&entry["message"])).collect()
    }

    /// The addresses that pages asked for since this was asked last.
    pub async fn requests(&self) -> Vec<String> {
        let entries = self.log("performance").await;
        let asked = entries.iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            let is_request = event["method"] == "Network.requestWillBeSent";
            is_request.then(|| text(&event["params"]["request"]["url"]))
        });
        asked.collect()
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("se/log", &json!({ "type": kind })).await;
        entries.as_array().cloned().unwrap_or_default()
    }

    async fn find(&self, selector: &str) -> Option<String> {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.try_post("element", &wanted).await?;
        found[ELEMENT].as_str().map(str::to_owned)
    }

    async fn command(&self, name: &str, parameters: &Value) {
        let command = json!({ "cmd": name, "params": parameters });
        self.post("goog/cdp/execute", &command).await;
    }

    async fn get(&self, path: &str) -> Value {
        ask(&self.driver, Method::GET, &self.path(path), None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        ask(&self.driver, Method::POST, &self.path(path), Some(body)).await
    }

    async fn try_get(&self, path: &str) -> Option<Value> {
        try_ask(&self.driver, Method::GET, &self.path(path), None).await.ok()
    }

    async fn try_post(&self, path: &str, body: &Value) -> Option<Value> {
        try_ask(&self.driver, Method::POST, &self.path(path), Some(body)).await.ok()
    }

    fn path(&self, path: &str) -> String {
        format!("/session/{}/{path}", self.session)
    }
}

/// Chromium, and where it listens: it picks a port and writes it into its profile.
async fn chromium(dir: &Path) -> (Guarded, String) {
    let profile = dir.join("profile");
    let profile_flag = format!("--user-data-dir={}", profile.display());
    let arguments = FLAGS.into_iter().chain([profile_flag.as_str(), "about:blank"]);
    let mut chromium = guarded("chromium", &arguments.collect::<Vec<_>>(), dir);
    let debugger = eventually(PATIENCE, "chromium says where it listens", async || {
        let log = dir.join("chromium.log");
        assert!(chromium.exit_code().is_none(), "chromium does not start\n{}", tail(&log));
        let told = std::fs::read_to_string(profile.join("DevToolsActivePort")).ok()?;
        // The second line says that the first one is whole.
        told.split_once('\n').map(|(port, _)| format!("127.0.0.1:{port}"))
    });
    let debugger = debugger.await;
    (chromium, debugger)
}

async fn chromedriver(dir: &Path) -> (Guarded, Http) {
    for _ in 0..PORT_ATTEMPTS {
        let port = free_port();
        let mut driver = guarded("chromedriver", &[&format!("--port={port}")], dir);
        let http = Http::new(format!("http://127.0.0.1:{port}"));
        let ready = eventually(PATIENCE, "chromedriver answers", async || {
            if driver.exit_code().is_some() {
                return Some(false);
            }
            http.try_get("/status").await.is_ok().then_some(true)
        });
        if ready.await {
            return (driver, http);
        }
    }
    panic!("chromedriver does not start\n{}", tail(&dir.join("chromedriver.log")));
}

fn guarded(name: &str, arguments: &[&str], dir: &Path) -> Guarded {
    let program = program(name);
    let mut environment = clean_environment();
    environment.push(("HOME".to_owned(), dir.to_string_lossy().into_owned()));
    let log = dir.join(format!("{name}.log"));
    Guarded::start(&Spec {
        program: program.as_os_str(),
        arguments: arguments.iter().map(OsStr::new).collect(),
        environment,
        working_dir: dir,
        input: None,
        stdout: log.clone(),
        stderr: log,
        last_signal: "KILL",
        remove: Some(dir),
    })
}

async fn ask(driver: &Http, method: Method, path: &str, body: Option<&Value>) -> Value {
    let answer = try_ask(driver, method, path, body).await;
    answer.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `value` of the answer, or what WebDriver says is wrong.
async fn try_ask(
    driver: &Http,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Value> {
    let request = driver.request(method, path);
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    let reply = send(request).await.expect("chromedriver answers");
    let value = reply.json()["value"].take();
    if reply.status.is_success() { Ok(value) } else { Err(value) }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_browser_sees_types_clicks_and_complains_and_is_gone_with_its_test() {
        let browser = Browser::start().await;
        let page = "data:text/html,<input><button onclick=\"p.textContent=document.querySelector('input').value;\
            console.error('ouch')\">Say</button><p id=p></p>";
        browser.open(page).await;
        browser.type_into("input", "Zürich").await;
        browser.click("button").await;
        browser.sees("#p", "Zürich").await;
        assert_eq!(browser.text("#q").await, None);
        assert_eq!(browser.evaluate("return 1 + 1").await, 2);
        assert!(browser.complaints().await.concat().contains("ouch"));
        assert!(browser.url().await.starts_with("data:"));
        let dir = browser.dir.path().to_owned();
        drop(browser);
        until(PATIENCE, "its folder is gone", async || !dir.exists()).await;
    }
}
