#!/usr/bin/env python3
"""Writes texts/: pools of texts for the heads of models of photographs.

    python3 tools/make_texts.py            writes the files
    python3 tools/make_texts.py --check    exits with 1 if the files are not what it would write

Needs WordNet 3.0 in /usr/share/wordnet (Debian package wordnet-base) or at --wordnet. WordNet gives
the countries and the common words, and vouches for the nouns in text_words.py: each must have a
meaning that falls under the concepts of its class.
"""

import argparse
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

import text_words as tw
from text_words import common, words

TEXTS = Path(__file__).resolve().parent.parent / "texts"

PHOTO = ["a photo of {}", "a picture of {}", "an image of {}", "a photograph of {}"]

# What WordNet says of an insult.
INSULT = re.compile(r"ethnic slur|(offensive|disparaging) (name|term|word)")

# Classes of nouns: property -> (words, concepts of WordNet, templates of the general pool, template
# of the property table). A concept is a noun and the number of its meaning.
NOUNS = {
    "animal": (tw.ANIMAL, ["animal"],
               PHOTO + ["a close-up of {}", "{} in its habitat", "a portrait of {}"],
               "a photo of {}, a type of animal"),
    "plant": (tw.PLANT, ["plant.2", "fungus", "plant_part", "vegetation", "alga",
               "nonvascular_organism", "plant_material"],
              PHOTO + ["a close-up of {}", "a botanical photo of {}"],
              "a photo of {}, a type of plant"),
    "food": (tw.FOOD, ["food", "food.2", "foodstuff", "beverage", "fruit"],
             PHOTO + ["a close-up of {}", "{} on a table", "a food photo of {}"],
             "a photo of {}, a type of food"),
    "clothing": (tw.CLOTHING, ["clothing", "footwear", "artifact", "piece_of_cloth"],
                 PHOTO + ["a person wearing {}", "a catalog photo of {}"],
                 "a photo of a person wearing {}"),
    "vehicle": (tw.VEHICLE, ["conveyance.3", "artifact"],
                PHOTO + ["a close-up of {}", "a side view of {}"],
                "a photo of {}, a type of vehicle"),
    "object": (tw.OBJECT, ["physical_entity", "communication.2", "currency"],
               PHOTO + ["a close-up of {}", "a cropped photo of {}", "a photo with {} in it",
                        "a product photo of {}"],
               "a photo of {}"),
    "occupation": (tw.OCCUPATION, ["person"],
                   PHOTO + ["a portrait of {}", "a photo showing {}"],
                   "a photo of {} at work"),
    "body part": (tw.BODY_PART, ["body_part", "body_covering", "animal_material"],
                  ["a close-up of {}", "a photo of {}", "a detailed picture of {}"],
                  "a close-up of {}"),
    "building": (tw.BUILDING, ["artifact"],
                 PHOTO + ["a street view of {}", "an exterior view of {}"],
                 "a photo of {}, a type of building"),
}


def article(word):
    """The word with its article; a star says that it takes none."""
    if word.endswith("*"):
        return word[:-1]
    if re.match(r"(uni|eu|u[kr][eiu]|use|one\b|U-)", word):
        return f"a {word}"
    if re.match(r"[aeiouAEIOU]|hour|heir|X-ray|L-shaped|MRI", word):
        return f"an {word}"
    return f"a {word}"


def turns(templates, values):
    """Each value in one template, the templates in turn."""
    return [templates[i % len(templates)].format(value) for i, value in enumerate(values)]


def crossed(templates, values):
    """Each value in each template."""
    return [template.format(value) for value in values for template in templates]


class WordNet:
    """The nouns of WordNet 3.0 with their concepts, and how often each word was met."""

    def __init__(self, folder):
        self.kinds = defaultdict(list)  # concept -> narrower concepts
        self.instances = defaultdict(list)  # concept -> names of its instances
        self.meanings = {}  # lemma -> its concepts, commonest first
        self.counts = Counter()  # lemma -> occurrences in WordNet's tagged texts
        self.lower_case = set()  # lemmas that are written so in some meaning
        self.insults = set()  # concepts that are one
        for pos in ("noun", "verb", "adj", "adv"):
            for line in self._lines(folder / f"data.{pos}"):
                fields, _, gloss = line.partition("|")
                fields = fields.split()
                count = int(fields[3], 16)
                names = [re.sub(r"\(\w+\)$", "", name) for name in fields[4:4 + 2 * count:2]]
                self.lower_case.update(name for name in names if name == name.lower())
                if pos != "noun":
                    continue
                if INSULT.search(gloss):
                    self.insults.add(fields[0])
                at = 4 + 2 * count
                for i in range(int(fields[at])):
                    symbol, target = fields[at + 1 + 4 * i:at + 3 + 4 * i]
                    if symbol == "@":
                        self.kinds[target].append(fields[0])
                    elif symbol == "@i":
                        self.instances[target].append(names[0].replace("_", " "))
        for line in self._lines(folder / "index.noun"):
            fields = line.split()
            self.meanings[fields[0]] = fields[-int(fields[2]):]
        for line in self._lines(folder / "cntlist.rev"):
            key, _, count = line.split()
            self.counts[key.partition("%")[0]] += int(count)

    @staticmethod
    def _lines(path):
        with open(path, encoding="utf-8") as file:
            return [line for line in file if not line.startswith("  ")]  # two blanks: the licence

    def below(self, concepts):
        """All concepts at or below those named: "plant.2" is the second meaning of plant."""
        todo = []
        for concept in concepts:
            lemma, _, number = concept.partition(".")
            todo.append(self.meanings[lemma][int(number or 1) - 1])
        found = set()
        while todo:
            concept = todo.pop()
            if concept not in found:
                found.add(concept)
                todo += self.kinds[concept]
        return found

    def knows(self, phrase, concepts):
        """Whether the phrase, or a part of it ("golden retriever"), has one of these concepts."""
        parts = phrase.lower().removesuffix("*").replace("'s", "").split()
        for i in range(len(parts)):
            for j in range(i + 1, len(parts) + 1):
                lemma = "_".join(parts[i:j])
                singular = [re.sub(end + "$", to, lemma)
                            for end, to in (("", ""), ("s", ""), ("es", ""), ("ies", "y"))]
                if any(concepts.intersection(self.meanings.get(form, ())) for form in singular):
                    return True
        return False

    def countries(self):
        names = {name for concept in self.below(["country.2"]) for name in self.instances[concept]}
        names = names - set(tw.LEFT_OUT_COUNTRIES) | set(tw.NEWER_COUNTRIES)
        return [f"the {name}" if name in tw.THE_COUNTRIES else name for name in sorted(names)]

    def common_words(self, count):
        """The most frequent words, ties in alphabetical order."""
        fit = [word for word in self.counts
               if re.fullmatch("[a-z]*[aeiouy][a-z]*", word) and len(word) > 1
               and word in self.lower_case and word not in tw.BLOCKED
               and self.insults.isdisjoint(self.meanings.get(word, ())[:1])]
        return sorted(fit, key=lambda word: (-self.counts[word], word))[:count]


def doubtful_nouns(wordnet):
    """The words that WordNet does not know as what their class says, apart from those newer."""
    return [f"{prop}: {word}" for prop, (text, concepts, _, _) in NOUNS.items()
            for below in [wordnet.below(concepts)] for word in words(text)
            if word not in tw.NOT_IN_WORDNET and not wordnet.knows(word, below)]


def general(wordnet):
    """property -> texts of the general pool."""
    pool = {prop: turns(templates, map(article, words(text)))
            for prop, (text, _, templates, _) in NOUNS.items()}
    pool["colour"] = (
        turns(["a photo in which {} is the main color", "{} objects"], words(tw.COLOUR))
        + [f"a photo with {article(color)} background" for color in words(tw.COLOUR)]
        + [f"a photo of {article(color + ' ' + thing)}"
           for i, thing in enumerate(tw.COLOURED) for color in common(tw.COLOUR)[i % 3::3]]
        + tw.COLOURS_MORE)
    pool["shape"] = (turns(["the shape of {}", "an object in the shape of {}"],
                           map(article, words(tw.SHAPE)))
                     + turns(PHOTO, tw.SHAPES_MORE))
    pool["texture"] = (crossed(["a {} surface"], tw.TEXTURE)
                       + turns(["a close-up of {}", "the texture of {}", "a detailed photo of {}"],
                               tw.TEXTURES_MORE))
    pool["pattern"] = turns(["a pattern of {}", "fabric with {}", "wallpaper with {}"],
                            words(tw.PATTERN))
    pool["material"] = (crossed(["an object made of {}"], words(tw.MATERIAL))
                        + turns(PHOTO, tw.MADE))
    pool["person"] = turns(PHOTO + ["a portrait of {}", "a snapshot of {}"], words(tw.PERSON))
    pool["counting"] = (
        [f"{number} {things}" for i, things in enumerate(tw.COUNTED)
         for number in tw.NUMBERS[1 + i % 2::2]]
        + [f"a photo of {number} object{'s' * (number != 'one')}" for number in tw.NUMBERS]
        + turns(PHOTO, tw.AMOUNTS))
    pool["location"] = (
        turns(["a photo taken in {}", "a street in {}", "a landscape in {}", "people in {}",
               "a village in {}"], wordnet.countries())
        + turns(["a photo taken in {}", "a street in {}", "the skyline of {}", "a view of {}",
                 "a building in {}"], tw.CITIES)
        + turns(["a view of {}", "a travel photo of {}"], tw.REGIONS))
    pool["place"] = turns(PHOTO + ["a view of {}", "a wide view of {}"], map(article, tw.SCENE))
    pool["landscape"] = turns(PHOTO + ["a view of {}", "a panorama of {}"],
                              map(article, tw.LANDSCAPE))
    pool["weather"] = (crossed(["a photo taken in {} weather", "a {} landscape"], tw.WEATHER)
                       + turns(PHOTO, tw.WEATHERS_MORE))
    pool["time of day"] = (
        [f"{scene} {time}" for scene in tw.TIME_SCENES for time in tw.TIMES]
        + crossed(["a photo taken {}"], tw.TIMES) + turns(PHOTO, tw.TIMES_MORE))
    pool["season"] = (
        [f"{scene} in {season}" for scene in tw.SEASON_SCENES for season in tw.SEASON]
        + crossed(["a photo taken in {}"], tw.SEASON) + turns(PHOTO, tw.SEASONS_MORE))
    pool["lighting"] = (crossed(["a scene lit by {}"], tw.LIGHTING)
                        + turns(PHOTO, tw.LIGHTS_MORE))
    pool["style"] = (
        [f"{kind} of {tw.STYLE_SUBJECTS[(i + 3 * j) % len(tw.STYLE_SUBJECTS)]}"
         for i, kind in enumerate(tw.STYLE_KINDS) for j in range(2)] + tw.STYLES_MORE)
    pool["camera"] = (
        [template.format(tw.CAMERA_SUBJECTS[(i + 3 * j) % len(tw.CAMERA_SUBJECTS)])
         for i, template in enumerate(tw.CAMERA_TEMPLATES) for j in range(3)] + tw.CAMERA_MORE)
    pool["text"] = turns(PHOTO, tw.TEXTS_MORE)
    pool["emotion"] = (
        [f"a photo of {article(word)} {tw.EMOTION_PERSONS[(i + j) % len(tw.EMOTION_PERSONS)]}"
         for i, word in enumerate(tw.EMOTIONS) for j in range(2)]
        + turns(PHOTO, tw.EMOTIONS_MORE))
    pool["action"] = turns([f"{opening} {actor}" + " {}" for actor in tw.ACTORS
                            for opening in ("a photo of", "a picture of", "an image of")],
                           tw.ACTION + tw.ACTIONS_MORE)
    pool["event"] = turns(PHOTO + ["a snapshot of {}"], tw.EVENT + tw.EVENTS_MORE)
    pool["size"] = turns(PHOTO, tw.SIZE)
    pool["position"] = turns(PHOTO, tw.POSITION)
    return pool


def table():
    """property -> texts of the property table: one template for all values of a property."""
    out = {prop: crossed([template], map(article, common(text)))
           for prop, (text, _, _, template) in NOUNS.items()}
    for prop, template, values in (
            ("colour", "a photo in which {} is the main color", common(tw.COLOUR)),
            ("shape", "a photo of something in the shape of {}",
             map(article, common(tw.SHAPE))),
            ("texture", "a photo of a {} surface", tw.TEXTURE),
            ("pattern", "a photo of a pattern of {}", common(tw.PATTERN)),
            ("material", "a photo of something made of {}", common(tw.MATERIAL)),
            ("person", "a photo of {}", common(tw.PERSON)),
            ("counting", "a photo of {}", tw.COUNTS),
            ("location", "a photo taken in {}", tw.TABLE_LOCATIONS),
            ("place", "a photo whose setting is {}", map(article, tw.PLACE)),
            ("weather", "a photo taken in {} weather", tw.WEATHER),
            ("time of day", "a photo taken {}", tw.TIMES),
            ("season", "a photo taken in {}", tw.SEASON),
            ("lighting", "a photo of a scene lit by {}", tw.LIGHTING),
            ("style", "a picture in the style of {}", tw.STYLE),
            ("camera", "a photo that is {}", tw.CAMERA),
            ("text", "a picture with {} in it", tw.TEXT),
            ("emotion", "a photo of a person who is {}", tw.EMOTION),
            ("action", "a photo of a person {}", tw.ACTION),
            ("event", "a photo of {}", tw.EVENT)):
        out[prop] = crossed([template], values)
    return out


def lines(pool):
    """The lines of a pool, by property and text; a text that stands twice is an error."""
    out = [f"{text}\t{prop}" for prop in sorted(pool) for text in sorted(pool[prop])]
    twice = [text for text, n in Counter(line.split("\t")[0] for line in out).items() if n > 1]
    if twice:
        sys.exit(f"make_texts: these texts stand twice: {', '.join(twice)}")
    return out


def files(wordnet):
    """{file name: content} of everything in texts/ that is made here."""
    doubtful = doubtful_nouns(wordnet)
    if doubtful:
        sys.exit("make_texts: WordNet does not know these as what their class says; correct them "
                 f"in text_words.py: {', '.join(doubtful)}")
    pool = lines(general(wordnet))
    # As many words as texts, so that the one is a control for the other.
    out = {"general.txt": pool, "properties.txt": lines(table()),
           "common_words.txt": wordnet.common_words(len(pool))}
    return {name: "".join(f"{line}\n" for line in content) for name, content in out.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    options = parser.parse_args()
    if not (options.wordnet / "data.noun").is_file():
        sys.exit(f"make_texts: {options.wordnet}: no data.noun there; install the Debian package "
                 "wordnet-base or name the folder of WordNet 3.0 with --wordnet")
    stale = []
    for name, content in files(WordNet(options.wordnet)).items():
        path = TEXTS / name
        if options.check:
            if not path.is_file() or path.read_bytes() != content.encode():
                stale.append(str(path))
        else:
            TEXTS.mkdir(exist_ok=True)
            path.write_bytes(content.encode())
    if stale:
        sys.exit(f"make_texts: not what this script writes: {', '.join(stale)}; run it without "
                 "--check")


if __name__ == "__main__":
    main()
