//! How many connections there may be at a time, whichever door they come through.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for connections. Reloads make more or fewer of them.
#[derive(Clone, Debug)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    size: Arc<Mutex<Size>>,
}

#[derive(Debug, Default)]
struct Size {
    /// Places that there are, taken ones among them.
    places: usize,
    /// What there should be: fewer, as long as too many are taken.
    wanted: usize,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// Taken out as the place is left.
    permit: Option<OwnedSemaphorePermit>,
    room: Room,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(0)), size: Arc::default() }
    }

    /// Makes room for as many. Connections beyond a smaller room stay, and their places go with them.
    pub(super) fn resize(&self, wanted: usize) {
        let mut size = self.size();
        size.wanted = wanted.min(Semaphore::MAX_PERMITS);
        if size.wanted >= size.places {
            self.free.add_permits(size.wanted - size.places);
            size.places = size.wanted;
        } else {
            size.places -= self.free.forget_permits(size.places - size.wanted);
        }
    }

    /// A place, if one is free.
    pub(super) fn try_enter(&self) -> Option<Place> {
        self.free.clone().try_acquire_owned().ok().map(|permit| self.place(permit))
    }

    /// A place, as soon as one is free.
    pub(super) async fn enter(&self) -> Option<Place> {
        self.free.clone().acquire_owned().await.ok().map(|permit| self.place(permit))
    }

    fn place(&self, permit: OwnedSemaphorePermit) -> Place {
        Place { permit: Some(permit), room: self.clone() }
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut size = self.room.size();
        if size.places > size.wanted
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            size.places -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_is_made_smaller_while_it_is_full_is_smaller_once_they_have_left() {
        let room = Room::new();
        room.resize(4);
        let mut inside: Vec<_> = (0..4).map(|_| room.try_enter().unwrap()).collect();
        room.resize(2);
        assert!(room.try_enter().is_none());
        inside.truncate(2);
        assert!(room.try_enter().is_none(), "the places of those who left went with them");
        inside.pop();
        let third = room.try_enter().unwrap();
        assert!(room.try_enter().is_none());
        room.resize(3);
        inside.push(room.try_enter().unwrap());
        assert!(room.try_enter().is_none());
        drop((inside, third));
        assert_eq!((0..5).map_while(|_| room.try_enter()).collect::<Vec<_>>().len(), 3);
    }
}
