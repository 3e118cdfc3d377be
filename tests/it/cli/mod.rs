//! The program itself, as an administrator meets it: its verbs, its files, its end.

mod approval;
mod audit;
mod backup;
mod configuration;
mod crashes;
mod doctor;
mod doctor_house;
mod edge;
mod health;
mod invite;
mod key;
mod mail;
mod program;
mod rights;
mod serve;
mod token;
mod trace;
mod upstream;
mod user;
mod user_import;
mod user_recover;
mod user_set;
