"""The objects of the picture world: what each is called and which drawing shows it.

Names of drawings are the icon names of the noto and fluent-emoji-flat sets; both sets have every one.
"""

# category -> [(name, plural, drawing, other names)]
CATEGORIES = {
    "water bird": [
        ("duck", "ducks", "duck", ["mallard"]),
        ("swan", "swans", "swan", []),
        ("penguin", "penguins", "penguin", []),
        ("flamingo", "flamingos", "flamingo", []),
    ],
    "land bird": [
        ("rooster", "roosters", "rooster", ["cockerel"]),
        ("owl", "owls", "owl", []),
        ("eagle", "eagles", "eagle", []),
        ("parrot", "parrots", "parrot", []),
        ("peacock", "peacocks", "peacock", []),
    ],
    "farm animal": [
        ("cow", "cows", "cow-face", ["cattle"]),
        ("pig", "pigs", "pig-face", []),
        ("sheep", "sheep", "ewe", []),
        ("horse", "horses", "horse-face", ["pony"]),
    ],
    "pet": [
        ("dog", "dogs", "dog-face", ["puppy"]),
        ("cat", "cats", "cat-face", ["kitten"]),
        ("rabbit", "rabbits", "rabbit-face", ["bunny"]),
        ("hamster", "hamsters", "hamster", []),
    ],
    "wild animal": [
        ("lion", "lions", "lion", []),
        ("fox", "foxes", "fox", []),
        ("panda", "pandas", "panda", []),
        ("elephant", "elephants", "elephant", []),
        ("zebra", "zebras", "zebra", []),
        ("giraffe", "giraffes", "giraffe", []),
    ],
    "sea animal": [
        ("fish", "fish", "tropical-fish", []),
        ("whale", "whales", "spouting-whale", []),
        ("octopus", "octopuses", "octopus", []),
        ("crab", "crabs", "crab", []),
        ("shark", "sharks", "shark", []),
    ],
    "bug": [
        ("bee", "bees", "honeybee", ["honeybee"]),
        ("butterfly", "butterflies", "butterfly", []),
        ("ladybug", "ladybugs", "lady-beetle", ["ladybird"]),
        ("spider", "spiders", "spider", []),
        ("snail", "snails", "snail", []),
    ],
    "reptile": [
        ("turtle", "turtles", "turtle", ["tortoise"]),
        ("snake", "snakes", "snake", []),
        ("crocodile", "crocodiles", "crocodile", ["alligator"]),
        ("dinosaur", "dinosaurs", "sauropod", []),
    ],
    "flower": [
        ("tulip", "tulips", "tulip", []),
        ("sunflower", "sunflowers", "sunflower", []),
        ("rose", "roses", "rose", []),
        ("blossom", "blossoms", "cherry-blossom", ["cherry blossom"]),
    ],
    "plant": [
        ("cactus", "cactuses", "cactus", []),
        ("palm tree", "palm trees", "palm-tree", ["palm"]),
        ("pine tree", "pine trees", "evergreen-tree", ["fir tree"]),
        ("mushroom", "mushrooms", "mushroom", ["toadstool"]),
        ("maple leaf", "maple leaves", "maple-leaf", []),
    ],
    "fruit": [
        ("apple", "apples", "red-apple", []),
        ("banana", "bananas", "banana", []),
        ("grapes", "grapes", "grapes", []),
        ("strawberry", "strawberries", "strawberry", []),
        ("pineapple", "pineapples", "pineapple", []),
        ("watermelon", "watermelons", "watermelon", ["melon"]),
    ],
    "vegetable": [
        ("carrot", "carrots", "carrot", []),
        ("corn", "corn cobs", "ear-of-corn", ["maize"]),
        ("broccoli", "broccoli heads", "broccoli", []),
        ("eggplant", "eggplants", "eggplant", ["aubergine"]),
    ],
    "fast food": [
        ("pizza", "pizzas", "pizza", []),
        ("hamburger", "hamburgers", "hamburger", ["burger"]),
        ("french fries", "french fries", "french-fries", ["fries"]),
        ("hot dog", "hot dogs", "hot-dog", []),
    ],
    "sweet": [
        ("cake", "cakes", "shortcake", []),
        ("donut", "donuts", "doughnut", ["doughnut"]),
        ("ice cream", "ice creams", "soft-ice-cream", []),
        ("lollipop", "lollipops", "lollipop", []),
    ],
    "drink": [
        ("coffee", "coffees", "hot-beverage", ["cup of coffee"]),
        ("beer", "beers", "beer-mug", ["mug of beer"]),
        ("wine", "wine glasses", "wine-glass", ["glass of wine"]),
        ("soda", "sodas", "cup-with-straw", ["soft drink"]),
    ],
    "vehicle": [
        ("car", "cars", "automobile", ["automobile"]),
        ("bus", "buses", "bus", []),
        ("tractor", "tractors", "tractor", []),
        ("bicycle", "bicycles", "bicycle", ["bike"]),
    ],
    "aircraft": [
        ("airplane", "airplanes", "airplane", ["plane"]),
        ("helicopter", "helicopters", "helicopter", []),
        ("rocket", "rockets", "rocket", []),
        ("flying saucer", "flying saucers", "flying-saucer", ["ufo"]),
    ],
    "boat": [
        ("sailboat", "sailboats", "sailboat", ["yacht"]),
        ("ship", "ships", "ship", []),
        ("canoe", "canoes", "canoe", []),
    ],
    "building": [
        ("house", "houses", "house", ["home"]),
        ("castle", "castles", "castle", []),
        ("church", "churches", "church", []),
        ("tent", "tents", "tent", []),
    ],
    "ball": [
        ("soccer ball", "soccer balls", "soccer-ball", []),
        ("basketball", "basketballs", "basketball", []),
        ("billiard ball", "billiard balls", "pool-8-ball", []),
        ("football", "footballs", "american-football", []),
    ],
    "instrument": [
        ("guitar", "guitars", "guitar", []),
        ("violin", "violins", "violin", ["fiddle"]),
        ("trumpet", "trumpets", "trumpet", []),
        ("drum", "drums", "drum", []),
    ],
    "tool": [
        ("hammer", "hammers", "hammer", []),
        ("saw", "saws", "carpentry-saw", []),
        ("axe", "axes", "axe", ["hatchet"]),
        ("scissors", "pairs of scissors", "scissors", []),
        ("key", "keys", "key", []),
    ],
    "clothing": [
        ("shirt", "shirts", "t-shirt", ["tshirt"]),
        ("dress", "dresses", "dress", []),
        ("top hat", "top hats", "top-hat", []),
        ("socks", "pairs of socks", "socks", []),
        ("shoe", "shoes", "high-heeled-shoe", []),
    ],
    "device": [
        ("laptop", "laptops", "laptop", ["computer"]),
        ("camera", "cameras", "camera", []),
        ("television", "televisions", "television", ["tv"]),
        ("telephone", "telephones", "telephone", ["phone"]),
    ],
    "toy": [
        ("teddy bear", "teddy bears", "teddy-bear", []),
        ("balloon", "balloons", "balloon", []),
        ("kite", "kites", "kite", []),
        ("die", "dice", "game-die", []),
    ],
    "furniture": [
        ("chair", "chairs", "chair", []),
        ("bed", "beds", "bed", []),
        ("door", "doors", "door", []),
        ("toilet", "toilets", "toilet", []),
    ],
    "weather": [
        ("sun", "suns", "sun", []),
        ("cloud", "clouds", "cloud", []),
        ("rainbow", "rainbows", "rainbow", []),
        ("umbrella", "umbrellas", "umbrella", []),
        ("snowflake", "snowflakes", "snowflake", []),
    ],
}

OBJECTS = [row[0] for rows in CATEGORIES.values() for row in rows]
CATEGORY_OF = {row[0]: category for category, rows in CATEGORIES.items() for row in rows}
PLURAL = {row[0]: row[1] for rows in CATEGORIES.values() for row in rows}
DRAWING = {row[0]: row[2] for rows in CATEGORIES.values() for row in rows}
OTHER_NAMES = {row[0]: row[3] for rows in CATEGORIES.values() for row in rows}
