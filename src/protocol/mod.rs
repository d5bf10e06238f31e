//! The wire: frames, headers, codes, typed requests and responses, message and body formats.
