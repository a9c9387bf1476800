"""A mapper of documents to tables: PynamoDB, as it is."""

import sys
from datetime import datetime, timezone

from pynamodb.attributes import JSONAttribute, ListAttribute, MapAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute, UTCDateTimeAttribute, VersionAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, PutError, TransactWriteError, UpdateError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

url = sys.argv[1]


def same(got, want, what):
    if got != want:
        raise SystemExit(f"{what}: got {got!r}, want {want!r}")


def fails(error, what, call):
    try:
        call()
    except error as e:
        return e
    raise SystemExit(f"{what}: went well, want {error.__name__}")


class ByAuthor(GlobalSecondaryIndex):
    class Meta:
        index_name = "by-author"
        projection = AllProjection()

    author = UnicodeAttribute(hash_key=True)
    views = NumberAttribute(range_key=True)


class Thread(Model):
    class Meta:
        table_name = "threads"
        host = url
        region = "us-east-1"
        billing_mode = "PAY_PER_REQUEST"

    forum = UnicodeAttribute(hash_key=True)
    subject = UnicodeAttribute(range_key=True)
    author = UnicodeAttribute(null=True)
    views = NumberAttribute(default=0)
    tags = UnicodeSetAttribute(null=True)
    notes = ListAttribute(default=list)
    meta = MapAttribute(default=dict)
    extra = JSONAttribute(null=True)
    at = UTCDateTimeAttribute(null=True)
    version = VersionAttribute()
    by_author = ByAuthor()


same(Thread.exists(), False, "a table that is not there")
Thread.create_table(wait=True)
same(Thread.exists(), True, "a table that is there")

t = Thread("f", "first", author="ann", tags={"x", "y"}, notes=[1, "two"], meta={"deep": {"er": 1}}, extra={"a": [1]}, at=datetime(2026, 1, 2, tzinfo=timezone.utc))
t.save()
got = Thread.get("f", "first")
same((got.tags, got.notes, got.meta.as_dict(), got.extra, got.at, got.version), ({"x", "y"}, [1, "two"], {"deep": {"er": 1}}, {"a": [1]}, t.at, 1), "an item")
stale = Thread.get("f", "first")
got.update(actions=[Thread.views.add(3), Thread.notes[1].remove(), Thread.author.set("bob")])
same((got.views, got.notes, got.author, got.version), (3, [1], "bob", 2), "an update")
stale.views = 7
fails(PutError, "a write of an old version", stale.save)
fails(UpdateError, "a condition that fails", lambda: got.update(actions=[Thread.views.set(0)], condition=Thread.views > 10))
fails(DoesNotExist, "an item that is not there", lambda: Thread.get("f", "gone"))

with Thread.batch_write() as batch:
    for n in range(60):
        batch.save(Thread("many", f"s{n:02}", author="eve", views=n))
same([x.subject for x in Thread.query("many", Thread.subject.between("s10", "s19"), Thread.views.is_in(11, 12, 50), scan_index_forward=False)], ["s12", "s11"], "a query")
same([x.views for x in Thread.by_author.query("eve", Thread.views >= 57)], [57, 58, 59], "a query of an index")
same(sum(1 for _ in Thread.query("many", page_size=7)), 60, "a query page by page")
same(Thread.count("many"), 60, "a count")
same(sum(1 for _ in Thread.scan(Thread.author == "eve", segment=0, total_segments=1)), 60, "a scan")
same(sorted(x.subject for x in Thread.batch_get([("many", "s01"), ("many", "s02"), ("many", "no")])), ["s01", "s02"], "a batch of reads")

connection = Connection(region="us-east-1", host=url)
with TransactWrite(connection=connection, client_request_token="token") as write:
    write.save(Thread("f", "second"), condition=Thread.forum.does_not_exist())
    write.condition_check(Thread, "many", "s01", condition=Thread.views == 1)


def clash():
    with TransactWrite(connection=connection) as write:
        write.update(Thread("f", "first"), actions=[Thread.views.set(9)])
        write.save(Thread("f", "second"), condition=Thread.forum.does_not_exist())


reasons = fails(TransactWriteError, "a transaction that cannot be", clash).cancellation_reasons
same([r.code if r else None for r in reasons], [None if reasons[0] is None else "ConditionalCheckFailed", "ConditionalCheckFailed"], "the reasons")
with TransactGet(connection=connection) as read:
    first = read.get(Thread, "f", "first")
same(first.get().views, 3, "what a transaction that was refused has left")
got.refresh()
got.delete()
fails(DoesNotExist, "an item that was deleted", lambda: Thread.get("f", "first"))
Thread.delete_table()
