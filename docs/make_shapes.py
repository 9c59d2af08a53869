"""Write the shapes of countries and of US states that maps are drawn with; nothing is fetched when a map is shown.

Countries are Natural Earth's at 1:50 million, in the public domain, as the npm package world-atlas 2.0.2 carries them; states
are the US Census Bureau's, in the public domain too, as us-atlas 3.0.1 carries them, already projected (Albers, with Alaska
and Hawaii beside the coast). Both are TopoJSON. Here arcs are simplified (each once, so that neighbours still meet), countries
are projected (Equal Earth), and coordinates become whole numbers.

    npm pack world-atlas us-atlas      # and unpack both
    python docs/make_shapes.py world-atlas/package us-atlas/package
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "src/shopkeeper/apps/charts/shapes"
WORLD_WIDTH, WORLD_TOLERANCE, WORLD_LEAST = 4000, 1.6, 10.0
STATE_SCALE, STATE_TOLERANCE, STATE_LEAST = 4, 2.0, 30.0
LEFT_OUT = {"Antarctica"}
Point = tuple[float, float]


def equal_earth(longitude: float, latitude: float) -> Point:
    """Return a place on the plane by the Equal Earth projection (Šavrič, Patterson, Jenny 2018), in units of its width."""
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    angle = math.asin(math.sqrt(3) / 2 * math.sin(math.radians(latitude)))
    slope = 9 * a4 * angle**8 + 7 * a3 * angle**6 + 3 * a2 * angle**2 + a1
    x = 2 * math.sqrt(3) * math.radians(longitude) * math.cos(angle) / (3 * slope)
    y = a4 * angle**9 + a3 * angle**7 + a2 * angle**3 + a1 * angle
    return x / 5.41, y / 5.41


def simplified(line: list[Point], tolerance: float) -> list[Point]:
    """Return a line without the points that lie within a distance of it (Douglas and Peucker), its ends kept."""
    if len(line) < 3:
        return line
    (ax, ay), (bx, by) = line[0], line[-1]
    length = math.hypot(bx - ax, by - ay)

    def distance(point: Point) -> float:
        if length == 0:
            return math.hypot(point[0] - ax, point[1] - ay)
        return abs((bx - ax) * (ay - point[1]) - (ax - point[0]) * (by - ay)) / length

    far, place = max((distance(point), place) for place, point in enumerate(line[1:-1], 1))
    if far <= tolerance:
        return [line[0], line[-1]]
    return simplified(line[: place + 1], tolerance)[:-1] + simplified(line[place:], tolerance)


def arcs_of(topology: dict[str, Any], place: Any) -> list[list[Point]]:
    """Return a topology's arcs as lines on the plane."""
    scale, shift = topology["transform"]["scale"], topology["transform"]["translate"]
    found = []
    for arc in topology["arcs"]:
        x = y = 0
        line = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            line.append(place(x * scale[0] + shift[0], y * scale[1] + shift[1]))
        found.append(line)
    return found


def area(ring: list[tuple[int, int]]) -> float:
    """Return the area that a ring encloses."""
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(ring, ring[1:] + ring[:1], strict=True))) / 2


def rings_of(geometry: dict[str, Any], arcs: list[list[Point]], least: float) -> list[list[tuple[int, int]]]:
    """Return the outer rings of a geometry, the largest first; without those smaller than ``least``, but always the largest."""
    polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
    rings = []
    for polygon in polygons:
        ring: list[tuple[int, int]] = []
        for index in polygon[0]:
            line = arcs[index] if index >= 0 else arcs[~index][::-1]
            ring += [(round(x), round(y)) for x, y in line][1 if ring else 0 :]
        rings.append(list(dict.fromkeys(ring)))
    rings.sort(key=area, reverse=True)
    return rings[:1] + [ring for ring in rings[1:] if area(ring) >= least and len(ring) > 2]


def middle(ring: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the middle of the box around a ring's centre of mass."""
    return round(sum(x for x, _ in ring) / len(ring)), round(sum(y for _, y in ring) / len(ring))


def shapes(file: Path, name: str, place: Any, tolerance: float, least: float) -> list[dict[str, Any]]:
    """Return the shapes of one object of a TopoJSON file: name, middle, and rings as x, y, x, y, …"""
    topology = json.loads(file.read_text("utf-8"))
    arcs = [simplified(line, tolerance) for line in arcs_of(topology, place)]
    whole = arcs_of(topology, place)
    found = []
    for geometry in topology["objects"][name]["geometries"]:
        told = geometry["properties"]["name"]
        if told in LEFT_OUT or "arcs" not in geometry:
            continue
        rings = rings_of(geometry, arcs, least)
        if len(rings[0]) < 4:
            rings = rings_of(geometry, whole, least)[:1]
        found.append(
            {
                "name": told,
                "middle": middle(rings[0]),
                "rings": [[n for point in ring for n in point] for ring in rings],
            }
        )
    return sorted(found, key=lambda each: str(each["name"]))


def main() -> None:
    """Read the unpacked packages named on the command line, and write both files."""
    world, states = map(Path, sys.argv[1:3])

    def in_world(longitude: float, latitude: float) -> Point:
        x, y = equal_earth(longitude, latitude)
        return x * WORLD_WIDTH, y * WORLD_WIDTH

    def in_states(x: float, y: float) -> Point:
        return x * STATE_SCALE, -y * STATE_SCALE

    OUT.mkdir(parents=True, exist_ok=True)
    for name, found in (
        ("world", shapes(world / "countries-50m.json", "countries", in_world, WORLD_TOLERANCE, WORLD_LEAST)),
        ("us_states", shapes(states / "states-albers-10m.json", "states", in_states, STATE_TOLERANCE, STATE_LEAST)),
    ):
        file = OUT / f"{name}.json"
        file.write_text(json.dumps(found, separators=(",", ":"), ensure_ascii=False), "utf-8")
        print(f"{file.name}: {len(found)} shapes, {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
