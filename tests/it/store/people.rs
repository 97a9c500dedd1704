//! Users, addresses and cards: one of each however often they come, and the newest word wins.

use chrono::{DateTime, Utc};
use isobar_model::ids::UserId;
use isobar_model::pipeline::Enrichment;
use isobar_model::user::{Address, Card, User};
use isobar_store::{
    Commit, Enriched, Records, SourcedUser, Store, StoreError, UserFilter, UserRecords, UserRow,
};

use super::fixtures::at;
use super::{Subject, on_both};

on_both!(
    users_that_come_again_change_nothing_and_an_older_word_never_wins,
    an_address_and_a_card_are_one_to_a_user_whoever_finds_them,
    users_are_found_by_what_they_miss_and_by_what_they_are_called,
    nothing_is_found_for_a_user_who_is_not_there,
);

fn user(number: i64) -> User {
    User {
        external_id: number,
        name: format!("Zoë {number}"),
        username: (number % 2 == 0).then(|| format!("zoe{number}")),
        email: format!("zoe{number}@x.org"),
        phone: Some("1 x2".into()),
        website: None,
        company_name: Some("Kuhn".into()),
        company_catchphrase: None,
        company_bs: None,
    }
}

fn seen(users: impl IntoIterator<Item = User>, seen_at: DateTime<Utc>) -> UserRecords {
    let users = users.into_iter().map(|user| SourcedUser { user, seen_at }).collect();
    UserRecords { users, ..UserRecords::default() }
}

fn address(user: UserId, city: &str, found_at: DateTime<Utc>) -> Enriched<Address> {
    let what = Address {
        street_number: Some("7".into()),
        street_name: "Main".into(),
        city: city.into(),
        state: None,
        country: None,
        postal_code: Some("0123".into()),
    };
    Enriched { user_id: user, value: what, enriched_at: found_at }
}

fn card(user: UserId, last4: &str, found_at: DateTime<Utc>) -> Enriched<Card> {
    let what = Card {
        last4: last4.into(),
        card_type: "visa".into(),
        expiry_date: "2028-05-31".parse().expect("a day"),
        fingerprint: format!("print of {last4}"),
    };
    Enriched { user_id: user, value: what, enriched_at: found_at }
}

async fn commit(store: &Store, people: UserRecords) -> Result<(), StoreError> {
    let commit = Commit { records: Records::UserRecords(people), ..Commit::default() };
    store.commit(&commit).await.map(drop)
}

async fn all(store: &Store) -> Vec<UserRow> {
    store.users(&UserFilter::default(), 0, 100).await.expect("reads")
}

async fn users_that_come_again_change_nothing_and_an_older_word_never_wins(subject: Subject) {
    let store = &subject.store;
    commit(store, seen([user(2), user(1)], at(5))).await.expect("commits");
    let first = all(store).await;
    assert_eq!(first.iter().map(|row| row.user.clone()).collect::<Vec<_>>(), [user(1), user(2)]);
    commit(store, seen([user(1), user(2)], at(6))).await.expect("commits");
    assert_eq!(all(store).await, first, "not even the time of the last change");

    let renamed = |name: &str| User { name: name.into(), ..user(1) };
    commit(store, seen([renamed("Old")], at(5))).await.expect("commits");
    assert_eq!(all(store).await, first, "seen before the last word");
    commit(store, seen([renamed("New")], at(7))).await.expect("commits");
    let last = &all(store).await[0];
    assert_eq!((last.user.name.as_str(), last.id), ("New", first[0].id));
    assert!(last.updated_at >= first[0].updated_at && last.created_at == first[0].created_at);
}

async fn an_address_and_a_card_are_one_to_a_user_whoever_finds_them(subject: Subject) {
    let store = &subject.store;
    commit(store, seen([user(1), user(2)], at(0))).await.expect("commits");
    let ids: Vec<UserId> = all(store).await.iter().map(|row| row.id).collect();
    let found = |city: &str, last4: &str, minutes| UserRecords {
        addresses: vec![address(ids[1], city, at(minutes)), address(ids[0], city, at(minutes))],
        cards: vec![card(ids[0], last4, at(minutes))],
        ..UserRecords::default()
    };
    commit(store, found("Ely", "1234", 3)).await.expect("commits");
    commit(store, found("Ely", "1234", 4)).await.expect("commits");
    commit(store, found("Older", "0000", 1)).await.expect("commits");
    let rows = all(store).await;
    assert!(rows.iter().all(|row| row.address.as_ref().is_some_and(|found| found.city == "Ely")));
    assert_eq!(rows[0].card.as_ref().map(|card| card.last4.as_str()), Some("1234"));
    assert_eq!(rows[1].card, None);
    commit(store, found("New", "9999", 5)).await.expect("commits");
    let one = store.user(ids[0]).await.expect("reads").expect("there");
    assert_eq!(one.card.map(|card| card.last4), Some("9999".into()));
    let totals = store.totals().await.expect("reads");
    assert_eq!((totals.users, totals.addresses, totals.cards), (2, 2, 1));
}

async fn users_are_found_by_what_they_miss_and_by_what_they_are_called(subject: Subject) {
    let store = &subject.store;
    commit(store, seen((1..=5).map(user), at(0))).await.expect("commits");
    let ids: Vec<UserId> = all(store).await.iter().map(|row| row.id).collect();
    let people = UserRecords {
        addresses: vec![address(ids[0], "Ely", at(1)), address(ids[3], "Ely", at(1))],
        cards: vec![card(ids[0], "1234", at(1))],
        ..UserRecords::default()
    };
    commit(store, people).await.expect("commits");
    let missing =
        async |what, after, limit| store.user_ids(what, after, limit).await.expect("reads");
    assert_eq!(missing(Some(Enrichment::Address), None, 2).await, [ids[1], ids[2]]);
    assert_eq!(missing(Some(Enrichment::Address), Some(ids[2]), 9).await, [ids[4]]);
    assert_eq!(missing(Some(Enrichment::Card), None, 9).await, ids[1..]);
    assert_eq!(missing(None, None, 9).await, ids);
    let with = store.users_having(Enrichment::Address, &ids[2..]).await.expect("reads");
    assert_eq!(with, [ids[3]].into());

    let count = async |filter: UserFilter| {
        let found = store.users(&filter, 0, 100).await.expect("reads").len() as u64;
        assert_eq!(store.count_users(&filter).await.expect("reads"), found, "{filter:?}");
        found
    };
    let filter = UserFilter::default;
    assert_eq!(count(UserFilter { has_address: Some(false), ..filter() }).await, 3);
    assert_eq!(
        count(UserFilter { has_address: Some(true), has_card: Some(false), ..filter() }).await,
        1
    );
    assert_eq!(count(UserFilter { external_id: Some(4), ..filter() }).await, 1);
    assert_eq!(count(UserFilter { search: Some("ZOE4@X".into()), ..filter() }).await, 1);
    assert_eq!(count(UserFilter { search: Some("100%".into()), ..filter() }).await, 0);
    let page = store.users(&filter(), 3, 1).await.expect("reads");
    assert_eq!((page.len(), page[0].id), (1, ids[3]));
}

async fn nothing_is_found_for_a_user_who_is_not_there(subject: Subject) {
    let store = &subject.store;
    let people =
        UserRecords { cards: vec![card(UserId(7), "1234", at(0))], ..UserRecords::default() };
    let refused = commit(store, people).await.expect_err("refused");
    assert!(matches!(refused, StoreError::Data { .. }), "{refused:?}");
    assert_eq!(store.totals().await.expect("reads").cards, 0);
}
