//! Second attempts for slow calls: when there are any, who wins, and what they cost.

mod hedge {
    mod config;
    mod cost;
    mod ends;
    mod gates;
    mod http;
    mod scenes;
    mod simulation;
    mod support;
}
