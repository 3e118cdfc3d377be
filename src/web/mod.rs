//! HTTP plumbing that knows no journey: what a request proves, and how answers look.

pub mod address;
pub mod assets;
pub mod bearer;
pub mod browser;
pub mod browser_app;
pub mod client_auth;
pub mod client_request;
pub mod cookies;
pub mod cors;
pub mod csrf;
pub mod dpop;
pub mod edge;
pub mod error;
pub mod flow;
pub mod multipart;
pub mod opened_link;
pub mod pages;
pub mod params;
pub mod personal_access_token;
pub mod problem;
pub mod throttle;
