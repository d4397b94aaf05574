"""How many bytes a struct takes on x86-64: those of the fields that the model has, packed.

A pointer or a number takes 8 bytes, a flag none: those that are modelled are bits of other fields.
Locks are without debugging. What lies in a search tree has the node that the kernel embeds.
"""

from __future__ import annotations

from rmaplab.machine.struct import Field, Kind, Struct

#: A mutex as in v2.6.39, an rwsem as from v3.16 on.
SIZES: dict[Kind, int] = {
    Kind.VALUE: 8,
    Kind.SPINLOCK: 4,
    Kind.MUTEX: 32,
    Kind.RWSEM: 40,
    Kind.ATOMIC: 4,
    Kind.BITLOCK: 0,
    Kind.LIST_HEAD: 16,
    Kind.LIST_ENTRY: 16,
    Kind.TREE: 8,
    Kind.RB_TREE: 8,
    Kind.PAGE_TABLE: 8,
}
ALIGNMENT = 8
RB_NODE = 24
#: The nodes of search trees, which the model keeps apart from what lies in them. An rmap_item has
#: its node where it has `head` and `hlist`.
NODES = {"vm_area_struct": RB_NODE, "stable_node": RB_NODE}


def size_of(name: str, struct: type[Struct]) -> int:
    """The bytes of an object of a slab cache of that name."""
    fields = sum(_size(field) for field in struct.fields.values())
    return -(-fields // ALIGNMENT) * ALIGNMENT + _node(name, struct)


def _size(field: Field) -> int:
    return 0 if isinstance(field.initial, bool) or field.hidden else SIZES[field.kind]


def _node(name: str, struct: type[Struct]) -> int:
    if name == "anon_vma_chain" and "same_anon_vma" not in struct.fields:
        return RB_NODE + 8  # and rb_subtree_last: bf181b9f9d8d, v3.7
    return NODES.get(name, 0)
