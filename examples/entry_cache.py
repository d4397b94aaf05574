"""A bucket with one entry: readers look it up under RCU, whoever drops the last reference frees it.

rmaplab protocol examples/entry_cache.py
"""

from rmaplab.protocol import *


class Entry(Struct):
    """What is looked up; the bucket holds one reference."""

    count = refcount()
    number = value(0)
    link = list_entry()


class Bucket(Struct):
    """Its lock is for those who change the list."""

    lock = spinlock()
    entries = list_head(marked="RCU readers walk it without the lock")


class EntryCache(Protocol):
    """A reader takes a reference only where there still is one."""

    cpus = ("lookup", "lookup", "remove")

    def setup(self):
        """The bucket has an entry."""
        self.cache = self.kmem_cache_create("entry", Entry, SLAB_DESTROY_BY_RCU)
        self.bucket = self.static(Bucket, "bucket")
        entry = kmem_cache_alloc(self.cache)
        atomic_set(entry.count, 1)
        list_add(entry.link, self.bucket.entries)

    def lookup(self):
        """Find the entry, use it, let it go."""
        rcu_read_lock()
        entry = list_first_entry(self.bucket.entries)
        found = entry is not None and self.get(entry)
        rcu_read_unlock()
        if found:
            assert entry.number == 0
            self.put(entry)

    def get(self, entry):
        """Take a reference; whether it was there to be taken."""
        return atomic_inc_not_zero(entry.count)

    def put(self, entry):
        """Drop a reference, and with the last one the entry."""
        if atomic_dec_and_test(entry.count):
            kmem_cache_free(self.cache, entry)

    def remove(self):
        """Take the entry off the bucket, and drop the bucket's reference."""
        spin_lock(self.bucket.lock)
        entry = list_first_entry(self.bucket.entries)
        list_del(entry.link)
        spin_unlock(self.bucket.lock)
        self.put(entry)


class Careless(EntryCache):
    """A reader takes a reference whatever the count is."""

    expect = "use-after-free"

    def get(self, entry):
        """The last reference may be gone."""
        atomic_inc(entry.count)
        return True
