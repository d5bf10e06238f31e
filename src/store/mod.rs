//! The files: mapped files, commit log, consume queues, checkpoint, recovery.
