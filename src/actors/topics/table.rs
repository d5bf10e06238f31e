//! Configurations by name, read from any thread without waiting for anyone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use dashmap::{DashMap, Entry};

use crate::{actors::supervision::Millis, protocol::data_version::DataVersion};

/// Configurations and the version by which others see that one of them changed.
#[derive(Debug, Default)]
pub(super) struct Table<C> {
    entries: DashMap<String, Arc<C>>,
    version: Mutex<DataVersion>,
}

impl<C: Clone> Table<C> {
    /// A table as a file or the defaults have it.
    pub(super) fn new(entries: impl IntoIterator<Item = (String, C)>, version: DataVersion) -> Self {
        let entries = entries.into_iter().map(|(name, config)| (name, Arc::new(config))).collect();
        Self { entries, version: Mutex::new(version) }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<C>> {
        self.entries.get(name).map(|entry| entry.value().clone())
    }

    /// Sets what `next` makes of the present configuration; nothing changes when it refuses.
    pub(super) fn update<E>(
        &self,
        name: &str,
        now: Millis,
        next: impl FnOnce(Option<&C>) -> Result<C, E>,
    ) -> Result<Arc<C>, E> {
        let config = match self.entries.entry(name.to_owned()) {
            Entry::Occupied(mut entry) => {
                let config = Arc::new(next(Some(entry.get()))?);
                entry.insert(config.clone());
                config
            }
            Entry::Vacant(entry) => entry.insert(Arc::new(next(None)?)).clone(),
        };
        self.changed(now);
        Ok(config)
    }

    /// The configuration of that name, made if there is none; and whether it was made. Of those who come at
    /// the same time, one makes it.
    pub(super) fn get_or_insert(&self, name: &str, now: Millis, make: impl FnOnce() -> C) -> (Arc<C>, bool) {
        if let Some(config) = self.get(name) {
            return (config, false);
        }
        let config = match self.entries.entry(name.to_owned()) {
            Entry::Occupied(entry) => return (entry.get().clone(), false),
            Entry::Vacant(entry) => entry.insert(Arc::new(make())).clone(),
        };
        self.changed(now);
        (config, true)
    }

    pub(super) fn remove(&self, name: &str, now: Millis) -> Option<Arc<C>> {
        let (_, config) = self.entries.remove(name)?;
        self.changed(now);
        Some(config)
    }

    pub(super) fn version(&self) -> DataVersion {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a change.
    pub(super) fn changed(&self, now: Millis) {
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        *version = version.next(now, 0);
    }

    /// All configurations at this moment, in no order.
    pub(super) fn all(&self) -> Vec<Arc<C>> {
        self.entries.iter().map(|entry| entry.value().clone()).collect()
    }

    /// All configurations at this moment, as files and answers have them.
    pub(super) fn to_map(&self) -> BTreeMap<String, C> {
        self.entries.iter().map(|entry| (entry.key().clone(), C::clone(entry.value()))).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_makes_a_new_version_and_a_refused_one_does_not() {
        let table = Table::new([("a".to_owned(), 1)], DataVersion::new(5));
        assert_eq!(*table.update("a", 6, |old| old.map(|n| n + 1).ok_or(())).unwrap(), 2);
        assert_eq!((table.version().counter, table.version().timestamp), (1, 6));
        assert!(table.update("b", 7, |_| Err(())).is_err());
        assert!(table.get("b").is_none(), "a refused configuration leaves no trace");
        assert_eq!(table.version().counter, 1);
        assert!(table.remove("a", 8).is_some() && table.remove("a", 9).is_none());
        assert_eq!(table.version().counter, 2);
    }

    #[test]
    fn one_of_those_who_come_together_makes_the_entry() {
        let table = Table::new([], DataVersion::default());
        let made: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| {
                    scope.spawn({
                        let table = &table;
                        move || table.get_or_insert("t", 1, || n).1
                    })
                })
                .collect();
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
        });
        assert_eq!((made, table.version().counter), (1, 1));
    }
}
