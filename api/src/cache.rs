//! Cache: values of one type, bounded in number and time, shared by concurrent callers.
//!
//! The value's type is hidden from moka: its code is large, and would else be built again for each
//! of nine types (a fifth of this crate's build).

use std::any::Any;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

type Hidden = Arc<dyn Any + Send + Sync>;
type Load<'a, E> = Pin<Box<dyn Future<Output = Result<Hidden, E>> + Send + 'a>>;

pub struct Cache<T> {
    values: moka::future::Cache<String, Hidden>,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), value: PhantomData }
    }
}

impl<T: Clone + Send + Sync + 'static> Cache<T> {
    pub fn new(capacity: u64, ttl: Duration) -> Self {
        let values =
            moka::future::Cache::builder().max_capacity(capacity).time_to_live(ttl).build();
        Self { values, value: PhantomData }
    }

    pub async fn get(&self, key: &str) -> Option<T> {
        self.values.get(key).await.map(|value| shown(&value))
    }

    pub async fn insert(&self, key: String, value: T) {
        self.values.insert(key, Arc::new(value)).await;
    }

    /// The value of `key`, loaded unless it is there. Concurrent callers share one load and its error;
    /// errors are not kept.
    pub async fn get_or_load<E: Send + Sync + 'static>(
        &self,
        key: String,
        load: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, Arc<E>> {
        let load: Load<'_, E> =
            Box::pin(async { load.await.map(|value| Arc::new(value) as Hidden) });
        self.values.try_get_with(key, load).await.map(|value| shown(&value))
    }
}

fn shown<T: Clone + 'static>(value: &Hidden) -> T {
    value.downcast_ref::<T>().expect("the cache holds values of one type").clone()
}
