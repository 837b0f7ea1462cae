//! One item's way from one table into the other.

use std::time::Instant;

use aws_sdk_dynamodb::types::ReturnValue;
use trivium_store::{Bar, Error};

use super::Way;
use crate::{
    expression::Expression,
    guards::Made,
    item::Item,
    marks::{self, Standing, when_same, when_standing},
    step::Updated,
    store::Pauses,
};

/// What has become of an item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Brought {
    /// It was where it has to be.
    Settled,
    /// It came by this call.
    Moved,
    /// It stays: a row that its subject's erasure is to delete. As it stands, and what it meets.
    IsOfBefore(Box<Item>, Bar),
}

/// What a look at an item led to.
enum Step {
    Ended(Brought),
    /// Something changed, here or by others: look again.
    Again,
}

impl Way<'_> {
    /// Moves the item, or cleans up after it. It may be called for any key, by several at once, and again after a
    /// crash at any point.
    pub(crate) async fn bring(&self, key: &Item, end: Instant) -> Result<Brought, Error> {
        let mut pauses = Pauses::until(end);
        loop {
            match self.look(key, end).await {
                Ok(Step::Ended(brought)) => return Ok(brought),
                Ok(Step::Again) => {}
                // Every step may be repeated, so an answer that was lost is no riddle.
                Err(error) if !error.is_retryable() || !pauses.sleep().await => return Err(error),
                Err(_) => {}
            }
        }
    }

    async fn look(&self, key: &Item, end: Instant) -> Result<Step, Error> {
        // The destination first: what is put there later is put over exactly this.
        let there = self.to.get_item(key.clone(), end).await?;
        let here = self.from.get_item(key.clone(), end).await?;
        let (stands_there, stands_here) =
            (Standing::of(there.as_ref())?, Standing::of(here.as_ref())?);
        if stands_here.mark.generation > stands_there.mark.generation {
            return self.clear(key, &stands_here, &stands_there, end).await;
        }
        match &here {
            Some(item) if stands_here.is_plain() => {
                self.hand_over(key, item, there.as_ref(), &stands_there, end).await
            }
            // Staged by an earlier migration in the other direction. If its marker names it, it counts.
            Some(_) => {
                if let Some(token) = &stands_here.staged
                    && stands_there.mark.token.as_ref() == Some(token)
                {
                    let update = marks::confirmation(token);
                    self.from.update(key.clone(), update, ReturnValue::None, end).await?;
                } else {
                    self.drop_in(self.from, key, &stands_here, end).await?;
                }
                Ok(Step::Again)
            }
            // An item that is not there moves too, where a marker still says that it would be here.
            None if stands_there.mark.generation > 0 => {
                self.mark(key, None, end).await?;
                Ok(Step::Again)
            }
            // What was staged of an item that is gone since will never count.
            None if stands_there.staged.is_some() => {
                self.drop_in(self.to, key, &stands_there, end).await?;
                Ok(Step::Ended(Brought::Settled))
            }
            None => Ok(Step::Ended(Brought::Settled)),
        }
    }

    async fn hand_over(
        &self,
        key: &Item,
        item: &Item,
        over: Option<&Item>,
        stands_there: &Standing,
        end: Instant,
    ) -> Result<Step, Error> {
        if stands_there.is_plain() {
            return Err(Error::Corrupt(format!(
                "an item stands in both tables, {key:?}: somebody wrote one of them past the migration"
            )));
        }
        let token = marks::token(item, self.generation);
        if stands_there.staged.as_ref() != Some(&token) {
            let mut as_seen = Expression::default();
            when_standing(&mut as_seen, stands_there);
            let staged = marks::staged(item, self.generation, over);
            if let Updated::Refused(_) = self.to.put(staged, as_seen, end).await? {
                return Ok(Step::Again);
            }
        }
        // Only now that it is staged: see there.
        if let Some(bar) = self.inner.is_of_before(item, end).await? {
            return Ok(Step::Ended(Brought::IsOfBefore(Box::new(item.clone()), bar)));
        }
        if !self.mark(key, Some(item), end).await? {
            return Ok(Step::Again);
        }
        let update = marks::confirmation(&token);
        self.to.update(key.clone(), update, ReturnValue::None, end).await?;
        Ok(Step::Ended(Brought::Moved))
    }

    /// The step that decides: from now on the other table is the item's authority. Whether it was taken.
    async fn mark(&self, key: &Item, item: Option<&Item>, end: Instant) -> Result<bool, Error> {
        let to = self.to.options.identity();
        let marker = marks::marker(key.clone(), self.generation, &to, item);
        let mut same = Expression::default();
        match item {
            Some(item) => when_same(&mut same, item),
            None => when_standing(&mut same, &Standing::default()),
        }
        match self.from.put_of_generation(marker, same, self.generation, end).await? {
            Made::Done => Ok(true),
            Made::Taken => Ok(false),
            Made::Outdated => Err(Error::Invalid(
                "another migration of these tables has begun since: this one is over".to_owned(),
            )),
        }
    }

    /// The destination is the authority already: its item loses what it came with.
    async fn clear(
        &self,
        key: &Item,
        here: &Standing,
        there: &Standing,
        end: Instant,
    ) -> Result<Step, Error> {
        match &there.staged {
            Some(token) if here.mark.token.as_ref() == Some(token) => {
                let update = marks::confirmation(token);
                self.to.update(key.clone(), update, ReturnValue::None, end).await?;
            }
            _ if there.is_there && !there.is_plain() => {
                self.drop_in(self.to, key, there, end).await?;
            }
            _ => {}
        }
        Ok(Step::Ended(Brought::Settled))
    }

    /// Removes what has no meaning, if it still stands as it was seen.
    async fn drop_in(
        &self,
        table: &crate::store::Table,
        key: &Item,
        standing: &Standing,
        end: Instant,
    ) -> Result<(), Error> {
        let mut same = Expression::default();
        when_standing(&mut same, standing);
        table.delete(key.clone(), same, end).await.map(drop)
    }
}
