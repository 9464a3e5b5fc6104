//! portcullis-breaker
