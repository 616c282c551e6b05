"""`place-arrays`: which tile, processing element and crossbar each matrix takes, and how far results travel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ranvier.ir.core import Module, Op
from ranvier.ir.fields import Enum, Integer, option
from ranvier.ir.hardware.facts import Placement
from ranvier.ir.interfaces import Pass, PassContext
from ranvier.ir.ops.xbar import DynamicMatmul, OnArrays, Stored
from ranvier.ir.types import element_count

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True)
class PlaceArrays(Pass):
    """Number the arrays of all matrices in order and fill processing elements, tiles and the network between these.

    Tiles lie on a square mesh, row by row, every second row backwards so that neighbours in order are neighbours; or
    are the leaves of a binary tree. Hops are the links between the first tiles of a matrix and of those that read it,
    digital ops between them not counted. The table `placement` has a row a matrix. Meaning stays.
    """

    word = "place-arrays"
    arrays_per_pe: int = option(Integer(1), 8, "crossbars of a processing element")
    pes_per_tile: int = option(Integer(1), 8, "processing elements of a tile")
    network: str = option(Enum("mesh", "tree"), "mesh", "what connects the tiles")

    def run(self, module: Module, context: PassContext) -> None:
        """See Pass."""
        ops = [op for op in module.main.ops if isinstance(op, OnArrays)]
        each = self.arrays_per_pe * self.pes_per_tile
        first, places = 0, {}
        for op in ops:
            count = arrays_of(op)
            tiles = range(first // each, (first + count - 1) // each + 1)
            pes = range(first // self.arrays_per_pe, (first + count - 1) // self.arrays_per_pe + 1)
            places[op] = Placement(first, count, pes[0], len(pes), tiles[0], len(tiles))
            first += count
        links = links_of(self.network, math.ceil(first / each))
        rows = []
        for op, place in places.items():
            op.facts = (*(f for f in op.facts if not isinstance(f, Placement)), place)
            hops = {f"%{r.result.name}": distance(links, place.tile, places[r].tile) for r in readers(op)}
            rows.append(_row(op, place, hops))
        context.tables["placement"] = rows
        context.note(f"{first} arrays in {math.ceil(first / each)} tiles of {each} on a {self.network}")


def _row(op: Op, place: Placement, hops: dict[str, int]) -> dict[str, Any]:
    sent = element_count(op.result.type.shape)
    return {
        "matrix": f"%{op.result.name}",
        "arrays": place.arrays,
        "first PE": place.pe,
        "PEs": place.pes,
        "first tile": place.tile,
        "tiles": place.tiles,
        "hops": ", ".join(f"{n} to {name}" for name, n in hops.items()) or "-",
        "elements x hops": sent * sum(hops.values()),
    }


def arrays_of(op: OnArrays) -> int:
    """How many arrays an op takes; a product of two values takes those of one matrix for each of its matrices."""
    if isinstance(op, Stored):
        return op.grid.arrays
    assert isinstance(op, DynamicMatmul)
    assert op.b is not None
    *lead, depth, outputs = (d if isinstance(d, int) else 1 for d in op.b.type.shape)
    return math.prod(lead) * op.grid_of(depth, outputs).arrays


def readers(op: Op) -> list[OnArrays]:
    """The ops on arrays that read a result, through digital ops."""
    found: dict[OnArrays, None] = {}
    seen: set[Op] = set()
    waiting = [op]
    while waiting:
        for user in (u for r in waiting.pop().results for u in r.users):
            if isinstance(user, OnArrays):
                found[user] = None
            elif user not in seen:
                seen.add(user)
                waiting.append(user)
    return list(found)


def links_of(network: str, tiles: int) -> networkx.Graph[Any]:
    """The links of a network; tiles are its nodes 0, 1, ..., switches of a tree are strings."""
    import networkx

    graph: networkx.Graph[Any] = networkx.Graph()
    graph.add_nodes_from(range(max(tiles, 1)))
    graph.add_edges_from(_mesh(tiles) if network == "mesh" else _tree(list(range(tiles))))
    return graph


def _mesh(tiles: int) -> Iterator[tuple[int, int]]:
    side = math.ceil(math.sqrt(tiles))
    at = {}
    for n in range(tiles):
        row, column = divmod(n, side)
        at[row, column if row % 2 == 0 else side - 1 - column] = n
    for (row, column), n in at.items():
        for other in ((row + 1, column), (row, column + 1)):
            if other in at:
                yield n, at[other]


def _tree(nodes: list[Any]) -> Iterator[tuple[Any, Any]]:
    level = 0
    while len(nodes) > 1:
        level += 1
        above = [f"switch {level}.{i}" for i in range(math.ceil(len(nodes) / 2))]
        for i, node in enumerate(nodes):
            yield node, above[i // 2]
        nodes = list(above)


def distance(links: networkx.Graph[Any], a: int, b: int) -> int:
    """Links between two tiles."""
    import networkx

    return int(networkx.shortest_path_length(links, a, b))


__all__ = ["PlaceArrays", "arrays_of", "distance", "links_of", "readers"]
