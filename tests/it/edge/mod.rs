//! The edge: how much may be asked for and how slowly, how connections begin, and what is kept of it.

mod announced;
mod connections;
mod full_house;
mod general_limit;
mod given_up;
mod heads;
mod multiplexed;
mod tls;
