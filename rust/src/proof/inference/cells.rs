//! What a program's steps make: cells, and values as linear forms of what is committed.
