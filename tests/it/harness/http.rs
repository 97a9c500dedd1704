//! HTTP for the tests: one client, one base address, whole replies.
//!
//! A reply is returned whatever its status is, for a test has to look at errors too; only a
//! connection that fails is a panic here (`try_get` for those that expect it). Redirects are not
//! followed. It knows nothing of our routes.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::wait::PATIENCE;

#[derive(Clone, Debug)]
pub struct Http {
    base: String,
    client: Client,
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Http {
    /// `base` without a final slash, as in `http://127.0.0.1:8000`.
    pub fn new(base: impl Into<String>) -> Self {
        Self { base: base.into(), client: client(HeaderMap::new()) }
    }

    /// The same with a header on every request, such as the API key.
    pub fn with_header(base: impl Into<String>, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
        Self { base: base.into(), client: client(headers) }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.try_get(path).await.unwrap_or_else(|error| panic!("GET {path}: {error:?}"))
    }

    pub async fn try_get(&self, path: &str) -> reqwest::Result<Reply> {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        let sent = send(self.request(Method::POST, path).json(body)).await;
        sent.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    pub async fn delete(&self, path: &str) -> Reply {
        let sent = send(self.request(Method::DELETE, path)).await;
        sent.unwrap_or_else(|error| panic!("DELETE {path}: {error:?}"))
    }

    /// For everything else (uploads, headers); hand the finished request to `send`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| {
            panic!("not JSON ({error}), status {}: {}", self.status, self.body)
        })
    }
}

pub async fn send(request: RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Reply { status, headers, body: response.text().await? })
}

fn client(headers: HeaderMap) -> Client {
    // An error says that another test has installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .default_headers(headers)
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("build an HTTP client")
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::http::HeaderMap;
    use axum::routing::{any, get};
    use serde_json::json;

    use super::*;
    use crate::harness::port::free_port;

    #[tokio::test]
    async fn a_reply_comes_whole_whatever_its_status() {
        let echo = |headers: HeaderMap, body: String| async move {
            let key = headers.get("x-api-key").map(|key| key.to_str().unwrap_or("?").to_owned());
            (StatusCode::IM_A_TEAPOT, [("x-seen", "yes")], Json(json!({"key": key, "body": body})))
        };
        let router =
            axum::Router::new().route("/echo", any(echo)).route("/text", get(|| async { "plain" }));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("bind");
        let base = format!("http://{}", listener.local_addr().expect("address"));
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async { axum::serve(listener, router).await });

        let reply = Http::with_header(&base, "x-api-key", "demo").post("/echo", &json!([1])).await;
        assert_eq!(
            (reply.status, &reply.headers["x-seen"]),
            (StatusCode::IM_A_TEAPOT, &HeaderValue::from_static("yes"))
        );
        assert_eq!(reply.json(), json!({"key": "demo", "body": "[1]"}));
        assert_eq!(Http::new(&base).delete("/echo").await.json()["key"], Value::Null);
        assert_eq!(Http::new(&base).get("/text").await.body, "plain");
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_and_no_panic() {
        let nobody = Http::new(format!("http://127.0.0.1:{}", free_port()));
        assert!(nobody.try_get("/").await.is_err_and(|error| error.is_connect()));
    }
}
