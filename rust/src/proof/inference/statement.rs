//! The statement of a proof of answers, and the transcript that begins with it.
