"""The fifteen categories of the sample catalogue."""

from __future__ import annotations

from typing import Any

from embedder_service.training.sample.bodice import TopCut
from embedder_service.training.sample.cuts import Category, Deck, Fields
from embedder_service.training.sample.parts import Part, moved
from embedder_service.training.sample.skirts import SkirtCut, skirt
from embedder_service.training.sample.tops import top
from embedder_service.training.sample.trousers import LegsCut, legs


def _top(cut: Fields) -> list[Part]:
    return top(TopCut(**cut))


def _skirt(cut: Fields) -> list[Part]:
    return skirt(SkirtCut(**cut))


def _legs(cut: Fields) -> list[Part]:
    return legs(LegsCut(**cut))


def _jumpsuit(cut: Fields) -> list[Part]:
    """Legs below, the bodice over their waistband; fields of the legs begin with `leg_`."""
    lower = {name[4:]: value for name, value in cut.items() if name.startswith("leg_")}
    upper = {name: value for name, value in cut.items() if not name.startswith("leg_")}
    bodice = TopCut(**upper)
    trousers = LegsCut(waist=bodice.waist + 0.4, closure="none", **lower)
    return [*moved(legs(trousers), bodice.length - 1.5), *top(bodice)]


def _sleeve(length: float, cuff: float, **more: Any) -> dict[str, Any]:
    return {"sleeve": length, "cuff": cuff, **more}


_TEE_NECKS: Deck = (
    ("Crew-Neck", {"neck": "crew", "neck_width": 8.0, "neck_depth": 6.5}),
    ("V-Neck", {"neck": "v", "neck_width": 8.0, "neck_depth": 15.0}),
    ("Scoop-Neck", {"neck": "scoop", "neck_width": 11.0, "neck_depth": 13.0}),
    ("Boat-Neck", {"neck": "boat", "neck_width": 13.0, "neck_depth": 3.4}),
    ("Henley", {"neck": "crew", "neck_width": 7.5, "neck_depth": 7.0, "front": "half"}),
    ("Square-Neck", {"neck": "square", "neck_width": 11.0, "neck_depth": 10.0}),
)
_LONG_SLEEVES: Deck = (
    ("", _sleeve(57, 9)),
    ("", _sleeve(57, 12)),
    ("", _sleeve(44, 10)),
)
_DRESS_SLEEVES: Deck = (
    ("Sleeveless", {"sleeve": 0.0, "shoulder": 15.0}),
    ("", _sleeve(10, 12)),
    ("Puff-Sleeve", _sleeve(20, 11, sleeve_shape="puff")),
    ("", _sleeve(24, 13)),
    ("Bell-Sleeve", _sleeve(46, 20, sleeve_shape="bell")),
    ("Long-Sleeve", _sleeve(56, 9)),
)
_TOP_MEASURES = {
    "length": (53.0, 76.0),
    "chest": (24.0, 28.5),
    "waist": (21.5, 26.5),
    "hem": (22.5, 29.5),
}

CATEGORIES: tuple[Category, ...] = (
    Category(
        name="T-Shirt",
        type_name="upper",
        fabrics=("ink stripe", "sage plain", "mustard plain", "blush dots", "grey melange"),
        sew=_top,
        start={},
        decks=(
            _TEE_NECKS,
            (
                ("", _sleeve(18, 14)),
                ("", _sleeve(10, 13)),
                ("", _sleeve(30, 15)),
                ("", _sleeve(55, 9)),
            ),
            (
                ("", {"pockets": "chest"}),
                ("", {}),
                ("", {"seams": "raglan"}),
                ("", {"hem_shape": "tail"}),
            ),
        ),
        ranges=_TOP_MEASURES,
    ),
    Category(
        name="Tank-Top",
        type_name="upper",
        fabrics=("rust stripe", "sage plain", "ink dots", "teal leaf", "blush plain"),
        sew=_top,
        start={"sleeve": 0.0},
        decks=(
            (
                ("Scoop-Neck", {"neck": "scoop", "neck_depth": 15.0, "neck_width": 10.0}),
                ("V-Neck", {"neck": "v", "neck_depth": 18.0, "neck_width": 10.0}),
                ("Square-Neck", {"neck": "square", "neck_depth": 13.0, "neck_width": 11.5}),
                ("Crew-Neck", {"neck": "crew", "neck_depth": 8.0, "neck_width": 9.0}),
                ("Sweetheart", {"neck": "sweetheart", "neck_depth": 14.5, "neck_width": 12.0}),
            ),
            (("", {"shoulder": 13.6}), ("", {"shoulder": 16.0}), ("", {"shoulder": 18.5})),
            (
                ("", {}),
                ("", {"hem_shape": "peplum", "waist_at": 36.0, "waist": 20.5, "belt": "elastic"}),
                ("", {"front": "buttons", "buttons": 7}),
                ("", {"hem_shape": "tail"}),
                ("", {"seams": "smock"}),
            ),
        ),
        ranges=_TOP_MEASURES | {"length": (48.0, 72.0), "chest": (21.5, 25.5)},
    ),
    Category(
        name="Shirt",
        type_name="upper",
        fabrics=("sky pinstripe", "sage gingham", "berry tartan", "indigo denim", "cream plain"),
        sew=_top,
        start={
            "collar": "shirt",
            "front": "buttons",
            "neck": "v",
            "neck_width": 7.6,
            "neck_depth": 8.0,
        },
        decks=(
            (
                ("", {}),
                ("Band-Collar", {"collar": "stand"}),
                ("Polo", {"front": "half"}),
                ("Open-Collar", {"neck_depth": 14.0, "collar": "lapel", "buttons": 4}),
            ),
            (
                ("Long-Sleeve", _sleeve(58, 9.5)),
                ("Short-Sleeve", _sleeve(22, 15)),
                ("", _sleeve(44, 11)),
                ("Boxy", _sleeve(28, 18)),
            ),
            (
                ("", {"pockets": "chest"}),
                ("", {"pockets": "chest flaps"}),
                ("", {}),
                ("Yoke", {"seams": "yoke"}),
                ("", {"seams": "princess"}),
            ),
            (("", {"hem_shape": "tail"}), ("", {"hem_shape": "straight"})),
        ),
        ranges=_TOP_MEASURES | {"length": (58.0, 82.0)},
    ),
    Category(
        name="Blouse",
        type_name="upper",
        fabrics=("cream floral", "blush plain", "ink dots", "teal leaf", "cream plain"),
        sew=_top,
        start={"neck_width": 8.5},
        decks=(
            (
                ("Bow", {"collar": "bow", "neck": "v", "neck_depth": 7.0, "front": "buttons"}),
                ("Round-Collar", {"collar": "round", "neck_depth": 6.5, "front": "buttons"}),
                ("Wrap", {"neck": "v", "neck_depth": 21.0, "front": "wrap"}),
                ("Square-Neck", {"neck": "square", "neck_depth": 10.0, "neck_width": 11.0}),
                ("V-Neck", {"neck": "v", "neck_depth": 16.0, "front": "buttons", "buttons": 5}),
                ("Band-Collar", {"collar": "stand", "neck_depth": 7.0, "front": "half"}),
            ),
            _DRESS_SLEEVES[1:],
            (
                ("", {}),
                (
                    "Peplum",
                    {"hem_shape": "peplum", "belt": "elastic", "waist_at": 38.0, "waist": 20.5},
                ),
                ("", {"belt": "sash", "waist_at": 43.0, "waist": 21.0}),
                ("", {"hem_shape": "scallop"}),
                ("", {"seams": "smock"}),
            ),
        ),
        ranges=_TOP_MEASURES | {"length": (55.0, 72.0)},
    ),
    Category(
        name="Sweater",
        type_name="upper",
        fabrics=("oat melange", "ink stripe", "lilac melange", "rust plain", "grey melange"),
        sew=_top,
        start={"hem_shape": "rib"},
        decks=(
            (
                ("Crew-Neck", {"neck": "crew", "neck_width": 8.0, "neck_depth": 6.5}),
                ("Roll-Neck", {"collar": "roll", "neck_width": 7.4, "neck_depth": 6.0}),
                ("V-Neck", {"neck": "v", "neck_width": 8.0, "neck_depth": 16.0}),
                ("Boat-Neck", {"neck": "boat", "neck_width": 13.0}),
            ),
            (
                ("", {"seams": "cable"}),
                ("", {}),
                ("", {"seams": "raglan"}),
                ("", {"seams": "panel"}),
                ("", {}),
            ),
            (
                ("", _sleeve(56, 9)),
                ("", _sleeve(54, 15)),
                ("", _sleeve(40, 11)),
                ("", _sleeve(54, 13, sleeve_shape="puff")),
            ),
        ),
        ranges=_TOP_MEASURES | {"length": (48.0, 74.0), "chest": (25.0, 31.0)},
    ),
    Category(
        name="Hoodie",
        type_name="upper",
        fabrics=("grey melange", "sage plain", "black plain", "lilac melange", "mustard plain"),
        sew=_top,
        start={"collar": "hood", "hem_shape": "rib", "neck_depth": 8.0},
        decks=(
            (("Zip", {"front": "zip"}), ("", {}), ("Half-Zip", {"front": "half"})),
            (
                ("", {"pockets": "kangaroo"}),
                ("", {"pockets": "slant"}),
                ("", {}),
                ("", {"pockets": "patch"}),
            ),
            (
                ("", {"seams": "raglan"}),
                ("", {"seams": "panel"}),
                ("", {}),
                ("", {"seams": "yoke"}),
                ("", {}),
            ),
            (
                ("", _sleeve(57, 10)),
                ("", _sleeve(54, 15)),
                ("Short-Sleeve", _sleeve(26, 17)),
                ("", _sleeve(42, 12)),
            ),
        ),
        ranges=_TOP_MEASURES | {"length": (52.0, 76.0), "chest": (26.0, 31.0)},
    ),
    Category(
        name="Cardigan",
        type_name="upper",
        fabrics=("oat melange", "berry gingham", "rust plain", "lilac melange", "ink plain"),
        sew=_top,
        start={"front": "open", "neck": "v", "neck_width": 8.0},
        decks=(
            (
                ("Deep-V", {"neck_depth": 32.0, "buttons": 3}),
                ("V-Neck", {"neck_depth": 20.0, "buttons": 5}),
                ("Open", {"neck_depth": 38.0, "buttons": 0}),
                ("Round-Neck", {"neck": "crew", "neck_depth": 8.0, "buttons": 7}),
            ),
            (("", {"pockets": "patch"}), ("", {}), ("", {"pockets": "slant"})),
            (("", {"hem_shape": "rib"}), ("", {"hem_shape": "straight"})),
            (
                ("", {}),
                ("Belted", {"belt": "sash", "waist_at": 44.0}),
                ("", {"seams": "raglan"}),
                ("", {}),
            ),
            _LONG_SLEEVES,
        ),
        ranges=_TOP_MEASURES | {"length": (50.0, 98.0)},
    ),
    Category(
        name="Jacket",
        type_name="upper",
        fabrics=(
            "indigo denim",
            "black plain",
            "camel herringbone",
            "forest corduroy",
            "berry tartan",
        ),
        sew=_top,
        start={"front": "buttons", "neck": "v", "sleeve": 58.0, "cuff": 11.0},
        decks=(
            (
                ("Blazer", {"collar": "lapel", "neck_depth": 30.0, "buttons": 2}),
                (
                    "Trucker",
                    {"collar": "shirt", "neck_depth": 8.0, "neck_width": 7.8, "seams": "yoke"},
                ),
                ("Biker", {"collar": "peak", "neck_depth": 20.0, "front": "zip"}),
                (
                    "Bomber",
                    {"collar": "stand", "neck_depth": 7.0, "front": "zip", "hem_shape": "rib"},
                ),
                (
                    "Double-Breasted",
                    {"collar": "peak", "neck_depth": 26.0, "front": "double", "buttons": 3},
                ),
                ("Shawl-Collar", {"collar": "shawl", "neck_depth": 30.0, "buttons": 1}),
            ),
            (
                ("", {"pockets": "flaps"}),
                ("", {"pockets": "chest flaps"}),
                ("", {"pockets": "slant"}),
                ("", {"pockets": "patch"}),
            ),
            (("", {"cuff": 10.0}), ("", {"cuff": 14.0}), ("", {"sleeve": 46.0, "cuff": 12.0})),
        ),
        ranges=_TOP_MEASURES | {"length": (54.0, 78.0), "chest": (25.5, 29.5)},
    ),
    Category(
        name="Coat",
        type_name="upper",
        fabrics=(
            "camel herringbone",
            "charcoal herringbone",
            "forest tartan",
            "ink plain",
            "rust corduroy",
        ),
        sew=_top,
        start={"neck": "v", "sleeve": 60.0, "cuff": 12.0, "waist_at": 44.0},
        decks=(
            (
                (
                    "Single-Breasted",
                    {"collar": "lapel", "neck_depth": 28.0, "front": "buttons", "buttons": 3},
                ),
                (
                    "Trench",
                    {
                        "collar": "peak",
                        "neck_depth": 22.0,
                        "front": "double",
                        "belt": "belt",
                        "buttons": 5,
                    },
                ),
                ("Wrap", {"collar": "shawl", "neck_depth": 34.0, "belt": "sash"}),
                ("Duffle", {"collar": "hood", "neck_depth": 8.0, "front": "buttons", "buttons": 4}),
                ("Funnel", {"collar": "stand", "neck_depth": 7.0, "front": "zip"}),
                (
                    "Round-Collar",
                    {"collar": "round", "neck_depth": 7.0, "front": "buttons", "buttons": 5},
                ),
            ),
            (
                ("", {"pockets": "flaps"}),
                ("", {"pockets": "slant"}),
                ("", {"pockets": "patch"}),
                ("", {}),
            ),
            (("", {"cuff": 11.0}), ("", {"cuff": 16.0})),
        ),
        ranges={
            "length": (84.0, 118.0),
            "chest": (26.0, 30.0),
            "waist": (22.0, 28.5),
            "hem": (27.0, 41.0),
        },
    ),
    Category(
        name="Dress",
        type_name="full",
        fabrics=("cream floral", "ink floral", "berry gingham", "teal plain", "indigo denim"),
        sew=_top,
        start={"waist_seam": True, "shoulder": 19.0},
        decks=(
            (
                ("V-Neck", {"neck": "v", "neck_depth": 17.0, "neck_width": 9.0}),
                (
                    "Shirt",
                    {
                        "neck": "v",
                        "neck_depth": 8.0,
                        "neck_width": 7.6,
                        "collar": "shirt",
                        "front": "buttons",
                        "buttons": 11,
                    },
                ),
                ("Square-Neck", {"neck": "square", "neck_depth": 11.0, "neck_width": 11.5}),
                ("Wrap", {"neck": "v", "neck_depth": 22.0, "front": "wrap", "belt": "sash"}),
                ("Round-Collar", {"collar": "round", "neck_depth": 6.5}),
                ("Sweetheart", {"neck": "sweetheart", "neck_depth": 14.0, "neck_width": 12.0}),
                ("Boat-Neck", {"neck": "boat", "neck_width": 12.5}),
            ),
            _DRESS_SLEEVES,
            (
                ("", {"pleats": 9, "hem": 42.0}),
                ("Tiered", {"tiers": 2, "hem": 38.0}),
                ("Pencil", {"hem": 20.5, "hem_shape": "slit"}),
                ("A-Line", {"hem": 36.0}),
                ("Shift", {"waist": 25.5, "hem": 29.0, "waist_seam": False}),
            ),
            (
                ("", {"belt": "belt"}),
                ("", {}),
                ("", {"belt": "elastic"}),
                ("", {"pockets": "slant"}),
            ),
        ),
        ranges={
            "length": (82.0, 124.0),
            "chest": (22.5, 25.5),
            "waist": (17.5, 21.0),
            "waist_at": (34.0, 43.0),
        },
    ),
    Category(
        name="Skirt",
        type_name="lower",
        fabrics=("forest tartan", "mustard plain", "indigo denim", "ink floral", "rust corduroy"),
        sew=_skirt,
        start={},
        decks=(
            (
                ("Pleated", {"pleats": 11, "hem": 38.0}),
                ("Tiered", {"tiers": 2, "hem": 36.0}),
                ("Pencil", {"hem": 20.5, "hip": 22.6}),
                ("A-Line", {"hem": 33.0}),
                ("Circle", {"hem": 46.0, "hip": 29.0, "pleats": 5, "hem_shape": "wave"}),
                ("Tulip", {"hem": 24.0, "hip": 25.2}),
            ),
            (
                ("", {"front": "buttons"}),
                ("", {"front": "wrap"}),
                ("", {"front": "slit"}),
                ("", {}),
                ("", {"front": "seam"}),
            ),
            (
                ("", {"pockets": "patch"}),
                ("", {"pockets": "slant"}),
                ("", {}),
                ("", {"pockets": "flap"}),
            ),
            (("", {}), ("", {"belt": "belt"}), ("", {"belt": "bow"}), ("", {"belt": "elastic"})),
            (
                ("", {"hem_shape": "straight"}),
                ("", {"hem_shape": "high"}),
                ("", {}),
                ("", {"hem_shape": "point"}),
            ),
        ),
        ranges={"length": (36.0, 88.0), "waist": (16.0, 19.0), "band": (2.5, 7.0)},
    ),
    Category(
        name="Trousers",
        type_name="lower",
        fabrics=(
            "charcoal pinstripe",
            "camel herringbone",
            "sage plain",
            "forest corduroy",
            "black plain",
        ),
        sew=_legs,
        start={},
        decks=(
            (
                ("Wide-Leg", {"knee": 25.0, "hem": 29.0, "hip": 25.2}),
                ("Cigarette", {"knee": 16.0, "hem": 12.5, "hip": 22.6}),
                ("Straight", {"knee": 20.0, "hem": 19.0}),
                ("Flared", {"knee": 17.0, "hem": 26.0, "hip": 23.0}),
                ("Tapered", {"knee": 22.0, "hem": 13.5, "hip": 25.8}),
            ),
            (
                ("", {"closure": "fly"}),
                ("", {"closure": "pleats", "crease": True}),
                ("Sailor", {"closure": "buttons"}),
                ("Drawstring", {"closure": "drawstring", "belt": "elastic"}),
            ),
            (
                ("", {"pockets": "slant"}),
                ("", {"pockets": "flap"}),
                ("Cargo", {"cargo": True}),
                ("", {"pockets": "none"}),
            ),
            (("", {}), ("", {"turn_up": 5.0}), ("", {"crease": True}), ("", {})),
            (("", {}), ("Belted", {"belt": "belt"}), ("", {"belt": "bow"})),
        ),
        ranges={
            "length": (78.0, 110.0),
            "rise": (25.0, 34.0),
            "waist": (17.0, 19.5),
            "band": (3.0, 7.0),
        },
    ),
    Category(
        name="Jeans",
        type_name="lower",
        fabrics=("indigo denim", "sky denim", "black denim", "cream plain", "grey melange"),
        sew=_legs,
        start={"stitched": True, "pockets": "curved"},
        decks=(
            (
                ("Skinny", {"knee": 15.0, "hem": 11.0, "hip": 22.2}),
                ("Straight", {"knee": 19.5, "hem": 18.5}),
                ("Bootcut", {"knee": 17.0, "hem": 22.0, "hip": 23.0}),
                ("Baggy", {"knee": 26.0, "hem": 24.0, "hip": 25.8}),
                ("Flared", {"knee": 16.0, "hem": 27.0, "hip": 22.6}),
                ("Mom", {"knee": 22.0, "hem": 15.0, "hip": 25.0}),
            ),
            (
                ("", {}),
                ("", {"turn_up": 6.0}),
                ("", {"knee_seam": True}),
                ("", {"cargo": True}),
                ("", {"turn_up": 3.0}),
            ),
            (("", {"pockets": "curved"}), ("", {"pockets": "patch"}), ("", {"pockets": "slant"})),
            (("", {}), ("", {"closure": "buttons"}), ("", {"belt": "belt"})),
        ),
        ranges={
            "length": (76.0, 110.0),
            "rise": (22.0, 33.0),
            "waist": (17.0, 19.5),
            "band": (3.0, 5.5),
        },
    ),
    Category(
        name="Shorts",
        type_name="lower",
        fabrics=("sky denim", "sage gingham", "mustard plain", "teal leaf", "rust stripe"),
        sew=_legs,
        start={},
        decks=(
            (
                ("Wide-Leg", {"hem": 31.0, "hip": 25.2}),
                ("Bermuda", {"hem": 21.0, "hip": 24.0, "length": 56.0}),
                ("", {"hem": 25.0, "hip": 25.0}),
                ("Hot", {"hem": 23.0, "hip": 23.5, "length": 34.0}),
            ),
            (
                ("", {"closure": "fly"}),
                ("Drawstring", {"closure": "drawstring", "belt": "elastic"}),
                ("Pleated", {"closure": "pleats", "crease": True}),
                ("Sailor", {"closure": "buttons"}),
            ),
            (
                ("", {"pockets": "slant"}),
                ("", {"pockets": "patch"}),
                ("", {"pockets": "curved"}),
                ("", {"pockets": "flap"}),
            ),
            (
                ("", {}),
                ("", {"turn_up": 4.0}),
                ("", {"belt": "bow"}),
                ("", {"belt": "belt"}),
                ("", {"turn_up": 7.0}),
            ),
        ),
        ranges={
            "length": (36.0, 54.0),
            "rise": (24.0, 31.0),
            "waist": (17.0, 20.0),
            "band": (2.5, 6.5),
        },
    ),
    Category(
        name="Jumpsuit",
        type_name="full",
        fabrics=("indigo denim", "rust plain", "ink dots", "forest corduroy", "teal plain"),
        sew=_jumpsuit,
        start={"waist_at": 33.0, "hem": 21.0, "shoulder": 18.5, "leg_band": 2.5},
        decks=(
            (
                ("V-Neck", {"neck": "v", "neck_depth": 17.0, "neck_width": 9.0}),
                (
                    "Utility",
                    {
                        "neck": "v",
                        "neck_depth": 8.0,
                        "neck_width": 7.6,
                        "collar": "shirt",
                        "front": "buttons",
                    },
                ),
                ("Square-Neck", {"neck": "square", "neck_depth": 12.0, "neck_width": 11.0}),
                ("Zip", {"collar": "stand", "neck": "v", "neck_depth": 7.5, "front": "zip"}),
                ("Wrap", {"neck": "v", "neck_depth": 22.0, "front": "wrap"}),
            ),
            _DRESS_SLEEVES,
            (
                ("Wide-Leg", {"leg_hip": 25.0, "leg_knee": 24.0, "leg_hem": 28.0}),
                ("", {"leg_hip": 24.0, "leg_knee": 17.0, "leg_hem": 13.0}),
                ("", {"leg_hip": 25.0, "leg_knee": 20.0, "leg_hem": 19.0}),
                ("Short", {"leg_hip": 25.0, "leg_hem": 25.0, "leg_length": 44.0}),
            ),
            (
                ("", {"belt": "belt", "leg_pockets": "slant"}),
                ("", {"belt": "sash", "leg_pockets": "patch"}),
                ("", {"pockets": "chest flaps", "leg_pockets": "flap"}),
                ("", {"belt": "elastic", "leg_cargo": True}),
            ),
        ),
        ranges={
            "length": (38.0, 44.0),
            "chest": (23.0, 26.0),
            "waist": (18.5, 21.0),
            "leg_length": (82.0, 108.0),
            "leg_rise": (25.0, 31.0),
        },
    ),
)
