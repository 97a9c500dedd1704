//! Whatever happens, nothing is lost and nothing is stored twice.
//!
//! Real processes are killed, cut off and starved, and afterwards `checker` asks the databases
//! themselves how every row has ended. `arena` is where that happens, on either backend; `source`
//! says how each row must end. What is done to the processes: `matrix` kills them at every named
//! point of the code, `killing` at any moment; `network` does to their connections what networks do;
//! `redis`, `store`, `disk` and `clock` give their servers, files and hosts trouble; in `contention`
//! they do it to each other. `trial` is about tasks that end their processes, and about workers that
//! are killed for other reasons. A `soak` looks at what grows.

/// Makes of each function a test for either backend.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod with_files {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Backend::Embedded).await;
            })+
        }
        mod with_servers {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Backend::Servers).await;
            })+
        }
    };
}

mod arena;
mod checker;
mod clock;
mod contention;
mod disk;
mod killing;
mod matrix;
mod network;
mod redis;
mod scenario;
mod soak;
mod source;
mod store;
mod tables;
mod trial;
mod upload;
