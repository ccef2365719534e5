"""The words that tools/make_texts.py puts into texts/, chosen by hand.

A star marks what takes no article: plurals and substances ("scissors*", "milk*"). What stands
before the bar of a list are its commonest words, which go into the property table too. Spelling is
American, as in most captions that CLIP models were trained on.
"""


def words(text):
    """The words of a list, separated by commas, line breaks and a bar."""
    return [word.strip() for word in text.replace("\n", ",").replace("|", ",").split(",")
            if word.strip()]


def common(text):
    """The words before the bar."""
    return words(text.split("|")[0])


ANIMAL = """
dog, cat, horse, cow, sheep, pig, goat, chicken, duck, rabbit, mouse, elephant, lion, tiger, bear
wolf, fox, deer, monkey, gorilla, giraffe, zebra, hippopotamus, rhinoceros, camel, kangaroo, koala
panda, penguin, owl, eagle, parrot, peacock, swan, flamingo, pigeon, seagull, crow, turkey
ostrich, snake, lizard, crocodile, turtle, frog, fish, shark, whale, dolphin, seal, octopus
jellyfish, crab, lobster, snail, butterfly, bee, ant, spider, dragonfly, beetle, squirrel
hedgehog, bat, otter, raccoon |
golden retriever, German shepherd, bulldog, poodle, beagle, dachshund, husky, terrier, collie
Dalmatian, greyhound, Chihuahua, pug, sheepdog, spaniel, corgi, puppy, kitten, Siamese cat
Persian cat, pony, donkey, mule, stallion, bull, ox, calf, lamb, buffalo, bison, yak, antelope
gazelle, moose, elk, reindeer, llama, alpaca, cheetah, leopard, jaguar, lynx, hyena, coyote
polar bear, grizzly, black bear, skunk, badger, beaver, weasel, ferret, mole, hamster, guinea pig
rat, chipmunk, porcupine, armadillo, anteater, sloth, chimpanzee, orangutan, baboon, lemur
warthog, wild boar, sea lion, walrus, manatee, killer whale, humpback whale, goose, rooster, hen
chick, duckling, quail, pheasant, dove, sparrow, robin, blue jay, cardinal, canary, swallow
magpie, raven, woodpecker, hummingbird, kingfisher, heron, stork, crane, pelican, puffin
albatross, hawk, falcon, vulture, toucan, macaw, cockatoo, parakeet, emu, toad, salamander
chameleon, iguana, gecko, alligator, tortoise, cobra, python, rattlesnake, goldfish, carp, salmon
trout, tuna, eel, stingray, seahorse, starfish, sea urchin, squid, shrimp*, oyster, clam, scorpion
grasshopper, cricket, moth, caterpillar, wasp, bumblebee, ladybug, mosquito, housefly, cockroach
firefly, cicada, centipede, earthworm, coral*
"""

PLANT = """
rose, tulip, sunflower, daisy, lily, orchid, daffodil, poppy, lotus, dandelion, hydrangea
carnation, oak, pine, maple, birch, willow, palm tree, cactus, fern, bamboo*, ivy*, moss*, grass*
mushroom, cherry tree, bonsai, clover*, lavender*, seaweed* |
iris, violet, pansy, peony, marigold, chrysanthemum, dahlia, hibiscus, magnolia, jasmine*, azalea
geranium, petunia, snowdrop, crocus, hyacinth, bluebell, lilac*, gardenia, water lily
morning glory, thistle, bougainvillea*, honeysuckle*, poinsettia, gladiolus, buttercup, elm
ash tree, beech, cedar, cypress, fir, spruce, redwood, sequoia, poplar, chestnut tree, walnut tree
eucalyptus, acacia, baobab, olive tree, apple tree, orange tree, lemon tree, fig tree, mangrove
holly*, mistletoe*, heather*, sagebrush*, aloe, yucca, saguaro, prickly pear, sugarcane*, wheat*
barley*, corn*, rice plant, cotton plant, grapevine, basil*, mint*, rosemary*, parsley*, lichen*
algae*, toadstool, reed, sapling, seedling, houseplant, shrub, wildflowers*, tree stump
hollow tree, flower bud, pine cone, acorn
"""

FOOD = """
pizza, hamburger, sandwich, hot dog, salad, soup*, pasta*, rice*, bread*, cheese*, steak
roast chicken, fried fish, sushi*, tacos*, French fries*, eggs*, bacon*, cake, pie, cookies*
doughnut, ice cream*, chocolate*, candy*, pancakes*, waffle, fruit*, vegetables*, apple, banana
orange, strawberry, grapes*, watermelon, pineapple, lemon, tomato, carrot, potato, broccoli*
corn on the cob*, coffee*, tea*, beer*, wine*, milk*, orange juice*, noodles*, curry*, popcorn*
sausage, ham*, onion, peach, pear, cherries*, pumpkin, cucumber |
plum, mango, papaya, kiwi, grapefruit, lime, blueberries*, raspberries*, blackberries*
pomegranate, coconut, avocado, melon, apricot, fig, cranberries*, lettuce*, spinach*, cabbage
cauliflower, garlic*, celery*, bell pepper, chili pepper, eggplant, zucchini, squash, beet, radish
asparagus*, artichoke, green beans*, peas*, lentils*, sweet potato, olives*, pickles*, almonds*
walnuts*, peanuts*, honey*, jam*, butter*, yogurt*, cream*, ketchup*, salt*, sugar*, flour*
spaghetti*, lasagna*, ramen*, dumplings*, spring rolls*, stew*, fried rice*, paella*, omelet
scrambled eggs*, boiled egg, fried egg, toast*, bagel, croissant, baguette, pretzel, muffin
cupcake, brownie, cheesecake, apple pie, birthday cake, wedding cake, pudding*, potato chips*
cereal*, oatmeal*, burrito, kebab, falafel*, hummus*, meatballs*, salami*, roast beef*
fried chicken*, grilled salmon*, shrimp cocktail, oysters*, crab legs*, clam chowder*, tofu*
mashed potatoes*, baked potato, guacamole*, nachos*, espresso*, cappuccino, hot chocolate*
lemonade*, milkshake, smoothie, cocktail, champagne*, red wine*, whiskey*, soda*, iced tea*
lollipop, marshmallows*, maple syrup*, gingerbread*, fruit salad, cheese plate, loaf of bread
slice of pizza, bowl of soup, plate of pasta, basket of fruit, box of chocolates, cup of coffee
pot of tea, glass of milk, glass of wine, mug of beer, jar of honey, bottle of water, breakfast*
picnic basket, buffet, dessert
"""

CLOTHING = """
shirt, T-shirt, sweater, jacket, coat, raincoat, dress, skirt, pants*, jeans*, shorts*, suit
uniform, swimsuit, bikini, pajamas*, bathrobe, apron, scarf, tie, gloves*, hat, cap, helmet
socks*, shoes*, boots*, sneakers*, sandals*, kimono, wedding dress, turban |
blouse, polo shirt, tank top, hoodie, sweatshirt, cardigan, vest, blazer, tuxedo, waistcoat
trench coat, fur coat, overcoat, parka, leather jacket, denim jacket, poncho, cloak, cape, shawl
robe, gown, evening gown, miniskirt, kilt, sari, sarong, tutu, leotard, overalls*, leggings*
tights*, stockings*, sweatpants*, corduroys*, bow tie, belt, suspenders*, mittens*, straw hat
cowboy hat, top hat, baseball cap, beret, bonnet, sombrero, beanie, headband, veil, bandana
high heels*, loafers*, flip-flops*, riding boots*, ballet shoes*, cleats*, ski boots*
hiking boots*, lab coat, chef's hat, spacesuit, wetsuit, suit of armor, cheerleader outfit
football jersey, life jacket, hard hat, military uniform, school uniform, clown costume
Halloween costume, sunglasses*, earmuffs*, bib, slippers*
"""

VEHICLE = """
car, truck, bus, van, taxi, motorcycle, bicycle, scooter, tractor, train, tram, airplane
helicopter, hot air balloon, rocket, ship, sailboat, canoe, ferry, submarine, ambulance
fire engine, police car, tank, bulldozer, sled, wagon, racing car |
sports car, convertible, limousine, pickup truck, jeep, minivan, station wagon, sedan, vintage car
school bus, double-decker bus, garbage truck, dump truck, tow truck, cement mixer, forklift
excavator, snowplow, camper, moped, tricycle, mountain bike, rickshaw, horse-drawn carriage
dogsled, snowmobile, steam locomotive, freight train, subway train, bullet train, cable car
streetcar, jet, fighter plane, biplane, seaplane, glider, airliner, blimp, space shuttle, yacht
rowboat, kayak, speedboat, fishing boat, gondola, raft, tugboat, barge, cruise ship
container ship, aircraft carrier, warship, steamboat, lifeboat, wheelbarrow, shopping cart
baby carriage, wheelchair, skateboard, unicycle, golf cart
"""

OBJECT = """
chair, table, bed, sofa, desk, lamp, clock, mirror, door, window, curtain, carpet, pillow, blanket
bookshelf, drawer, book, newspaper, magazine, letter, envelope, pen, pencil, notebook, map
calendar, camera, telephone, smartphone, computer, laptop, keyboard, television, radio, microphone
headphones*, speaker, remote control, light bulb, candle, flashlight, battery, watch, ring
necklace, bracelet, earrings*, eyeglasses*, wallet, handbag, backpack, suitcase, umbrella, fan
towel, soap*, toothbrush, comb, razor, scissors*, needle, knife, fork, spoon, plate, bowl, cup
glass, bottle, jar, teapot, frying pan, oven, refrigerator, microwave, toaster, sink, bathtub
toilet, shower, bucket, broom, vacuum cleaner, washing machine, iron, hammer, screwdriver, saw
drill, wrench, ladder, axe, shovel, rake, wheel, tire, engine, rope, chain, lock, key, box, basket
barrel, bag, flag, balloon, kite, ball, doll, teddy bear, toy car, puzzle, dice*, chessboard
guitar, piano, violin, drum, trumpet, flute, saxophone, harp, statue, vase, picture frame, trophy
medal, coin, sword, gun, bell, fence, bench, street lamp, traffic light, mailbox, fire hydrant
trash can, tent, tennis racket, surfboard, skis* |
armchair, rocking chair, stool, high chair, folding chair, throne, coffee table, dining table
workbench, bunk bed, crib, cradle, hammock, mattress, dresser, wardrobe, cupboard, filing cabinet
bookcase, coat hanger, chandelier, lantern, table lamp, candlestick, alarm clock
grandfather clock, hourglass, sundial, stopwatch, pocket watch, doorknob, doorbell, doormat
keyhole, padlock, window blind, shutter, rug, quilt, cushion, tablecloth, napkin, paperback
dictionary, comic book, photo album, postcard, stamp, greeting card, passport, ticket, receipt
menu, poster, notice board, blackboard, whiteboard, globe, crayons*, paintbrush, easel, eraser
ruler, compass, stapler, paper clip, rubber band, thumbtack, adhesive tape*, glue stick
calculator, typewriter, printer, monitor, computer mouse, circuit board, cable, extension cord
power plug, antenna, satellite dish, telescope, microscope, binoculars*, magnifying glass, tripod
movie projector, record player, vinyl record, cassette, jukebox, game controller, arcade machine
robot, drone, slot machine, vending machine, cash register, parking meter, billboard, neon sign
road sign, stop sign, traffic cone, water tower, fountain, birdhouse, bird cage, dog collar, leash
saddle, horseshoe, fishing rod, fishing net, anchor, paddle, life buoy, propeller, parachute
steering wheel, headlight, license plate, gas pump, bicycle helmet, nail, screw, pliers*
tape measure, chisel, anvil, paint roller, paint can, toolbox, hoe, pitchfork, sickle, scythe
lawn mower, chainsaw, garden hose, watering can, flowerpot, scarecrow, beehive, bird nest
spiderweb, feather, seashell, pebble, antlers*, skull, fossil, gemstone, diamond, pearl, gold bar
crown, tiara, brooch, pendant, cufflinks*, hairbrush, hair dryer, lipstick, perfume bottle
nail polish*, makeup brush, toothpaste*, toilet paper*, sponge, mop, dustpan, clothesline
ironing board, sewing machine, thread*, yarn*, button, zipper, buckle, safety pin
knitting needles*, spinning wheel, cane, crutch, bandage, syringe, stethoscope, thermometer
medicine bottle, hospital bed, surgical mask, test tube, beaker, magnet, rosary, cross, altar
gravestone, coffin, wreath, Christmas tree, Christmas lights*, gift box, ribbon, party hat
fireworks*, snowman, snow globe, jack-o'-lantern, Easter egg, piggy bank, wind chime
rocking horse, dollhouse, puppet, marionette, toy train, building blocks*, yo-yo, spinning top
marbles*, jigsaw puzzle, board game, checkerboard, dartboard, pool table, bowling ball
bowling pins*, basketball, football, soccer ball, baseball, baseball bat, baseball glove
golf ball, golf club, tennis ball, volleyball, hockey stick, hockey puck, ice skates*
roller skates*, snowboard, ski poles*, dumbbell, barbell, treadmill, punching bag, boxing gloves*
trampoline, swing, seesaw, sandbox, carousel, Ferris wheel, roller coaster, bow and arrow, shield
spear, dagger, cannon, rifle, pistol, bullet, handcuffs*, whistle, megaphone, accordion, banjo
cello, clarinet, tuba, trombone, harmonica, ukulele, mandolin, xylophone, tambourine, cymbals*
bagpipes*, gong, sheet music*, kettle, coffee maker, coffee mug, teacup, saucer, wine glass
beer bottle, corkscrew, can opener, bottle opener, tin can, saucepan, wok, pressure cooker
baking tray, rolling pin, whisk, ladle, spatula, sieve, cutting board, blender, chopsticks*, straw
jug, thermos, lunch box, ice cube, salt shaker, pepper mill, cookie jar, cake stand, dishwasher
stove, fireplace, chimney, radiator, air conditioner, faucet, pipe, bathroom mirror, water bottle
hot tub, shower curtain, cigarette, cigar, ashtray, matchbox, tobacco pipe, totem pole, mosaic
tapestry, sculpture, figurine, stained glass window, pottery*, clay pot, wicker basket
wooden crate, cardboard box, paper bag, plastic bag, shopping bag, briefcase, purse
treasure chest, haystack, log, firewood*, campfire, bonfire, wooden plank, pile of sand
barbed wire*, gate, staircase, escalator, railing, pillar, arch, scaffolding*, conveyor belt
power line, wind turbine, solar panel, oil rig, railroad track, bridge
"""

OCCUPATION = """
doctor, nurse, teacher, student, chef, waiter, police officer, firefighter, soldier, farmer
fisherman, carpenter, mechanic, electrician, construction worker, painter, photographer, musician
singer, dancer, actor, athlete, businessman, scientist, judge, priest, pilot, sailor, astronaut
hairdresser, clown, cowboy, dentist, butcher, baker, barber, lifeguard, security guard, bride
ballerina |
surgeon, paramedic, pharmacist, veterinarian, professor, librarian, lawyer, secretary
receptionist, cashier, shopkeeper, bartender, barista, gardener, florist, shepherd, beekeeper
miner, blacksmith, welder, plumber, tailor, seamstress, shoemaker, potter, sculptor, jeweler
model, gymnast, boxer, wrestler, swimmer, runner, cyclist, skier, figure skater, surfer
skateboarder, football player, basketball player, baseball player, tennis player, hockey player
golfer, archer, jockey, race car driver, referee, coach, cheerleader, mountain climber
scuba diver, guitarist, pianist, violinist, drummer, conductor, magician, juggler, acrobat, mime
bus driver, taxi driver, truck driver, flight attendant, ship captain, mail carrier, delivery man
street sweeper, garbage collector, factory worker, engineer, architect, programmer, detective
samurai, pirate, king, queen, monk, nun, bishop, rabbi, groom, bride, knight, tourist, hiker
news reporter, politician, vendor, bullfighter, geisha, puppeteer, tattoo artist, lumberjack
"""

BODY_PART = """
hand, foot, face, eye, ear, nose, mouth, arm, leg, knee, finger, thumb, back, neck, shoulder
lips*, teeth*, tongue, hair*, beard, paw, wing, tail, beak |
fist, palm, wrist, elbow, ankle, heel, toe, chin, cheek, forehead, eyebrow, eyelashes*, chest
belly, mustache, braid, ponytail, curly hair*, long blond hair*, gray hair*, bald head
shaved head, freckles*, fingernails*, painted nails*, tattooed arm, muscular arm, open palm
pointing finger, clenched fist, pair of hands, blue eye, brown eye, green eye, closed eyes*
open mouth, smiling mouth, hoof, claw, elephant's trunk, mane, snout, whiskers*, fur*, scales*
fin, turtle shell, insect leg, feathers of a bird*
"""

PERSON = """
a man, a woman, a boy, a girl, a baby, a toddler, a teenager, an old man, an old woman, a couple
a family, a group of friends, a crowd, a team, no people, a child, an elderly couple |
a person, a young man, a young woman, a middle-aged man, a middle-aged woman, a newborn baby
a mother and her child, a father and his son, a grandmother and her granddaughter, a grandfather
twin sisters, two brothers, three children, a young couple, newlyweds, a pregnant woman
a bearded man, a bald man, a man with a mustache, a woman with long hair, a woman with red hair
a man with glasses, a woman with a hat, a man in a suit, a woman in a dress, a child in a costume
a man in uniform, a girl with braids, a boy with freckles, a man with tattoos
a woman with blond hair, a man with gray hair, a woman with short hair, a woman with earrings
a man with a hat, a person with an umbrella, a person with a backpack, a person in a wheelchair
a person on crutches, a person seen from behind, a person in a mask, a group of men
a group of women, a group of schoolchildren, a group of old men, a large family, a sports team
a marching band, a choir, an audience, a line of people, a crowd of fans
people in traditional dress, a passerby, a tall man, a short man, a strong man, a thin woman
a pair of dancers, classmates, coworkers, neighbors, a bride and groom, a man and his dog
a woman and her cat, a girl on a pony, a boy with a ball, a baby in a stroller, a child on a swing
a woman at a window, a man on a bench, a person alone, a silhouette of a person, a face in a crowd
hands of an old woman, a man with sunglasses, a woman with a headscarf, a woman with freckles
a man with long hair, a child with a balloon, a baby in its mother's arms
"""

# Where a picture is taken, in the property table.
PLACE = words("""
kitchen, bedroom, living room, bathroom, dining room, office, classroom, library, hospital room
restaurant, bar, cafe, supermarket, shopping mall, factory, warehouse, garage, gym, theater
museum, church, airport, train station, subway station, parking lot, street, highway, bridge, park
garden, playground, swimming pool, stadium, farm, field, forest, jungle, desert, beach, ocean
lake, river, waterfall, mountain, valley, canyon, cave, island, swamp, harbor, city skyline
village, construction site, cemetery, zoo, amusement park, campsite, market, snowfield, hotel room
bakery, bookstore, art gallery, laboratory, courtroom, concert hall, golf course, basketball court
ice rink, alley, rooftop
""")

# And in the general pool.
SCENE = words("""
kitchen, bedroom, living room, bathroom, dining room, office, classroom, library reading room
hospital room, restaurant, bar, cafe, supermarket, shopping mall, factory floor, warehouse aisle
garage full of tools, gym, theater stage, museum hall, church interior, airport waiting area
train station hall, subway station, parking lot, street, highway, park, garden, playground
swimming pool, crowded stadium, farm, construction site, cemetery, zoo, amusement park, campsite
market, harbor, attic, basement, balcony, corridor, hallway, lobby, nursery, child's bedroom
laundry room, pantry, wine cellar, workshop, art studio, recording studio, dance studio
yoga studio, television studio, laboratory, operating room, dental office, waiting room, pharmacy
conference room, meeting room, courtroom, prison cell, lecture hall, school gymnasium, locker room
computer room, server room, bookstore, clothing store, shoe store, toy store, jewelry store
flower shop, butcher shop, bakery, candy store, hardware store, antique shop, beauty salon
barbershop, laundromat, fast food restaurant, cafeteria, food court, ice cream parlor, pub
nightclub, casino, ballroom, concert stage, opera box, cinema auditorium, art gallery, aquarium
greenhouse full of plants, bowling alley, ice rink, basketball court, tennis court, golf course
baseball field, football field, boxing ring, running track, race track, skate park, ski resort
stable with horses, barnyard, chicken coop, orchard, vineyard, hayfield, rice paddy, plantation
botanical garden, vegetable garden, backyard, front yard, patio, courtyard, terrace, rooftop
alley, crosswalk, sidewalk, city square, plaza, bus stop, toll booth, railroad crossing
railway platform, airport runway, hangar, dock, pier, marina, shipyard, boat deck, ship cabin
airplane cabin, train compartment, cockpit, car interior, hotel room, hotel lobby, dormitory
tent interior, junkyard, landfill, quarry, oil field, power plant, sawmill, brewery, car wash
flea market, street market, fish market, village square, suburb, downtown street, shopping street
residential street, cobblestone street, country road, dirt road, mountain road, hiking trail
ruins*, archaeological site, battlefield, fairground, circus, carnival, dog park, picnic area
bus interior, subway car, monastery courtyard, crypt, throne room, catacomb, home office
walk-in closet
""")

LANDSCAPE = words("""
forest, jungle, desert, beach, ocean, lake, river, waterfall, mountain, valley, canyon, cave
island, swamp, mountain range, snowy mountain, volcano, glacier, iceberg, cliff, hill, plateau
rocky coast, sandy shore, coral reef, lagoon, bay, fjord, stream, creek, pond, marsh, wetland
delta, oasis, sand dune, salt flat, rock formation, hot spring, geyser, crater, gorge, ravine
hillside, meadow, prairie, savanna, tundra, steppe, wheat field, cornfield, rice terrace
lavender field, sunflower field, field of tulips, pasture, bamboo forest, pine forest, rain forest
birch grove, autumn forest, palm grove, mangrove swamp, country lane, winding road, river bend
rapids*, riverbank, lakeshore, sea cave, sea stack, tide pool, tidal flat, ocean wave, open sea
peninsula, archipelago, tropical island, beach at low tide, mountain lake, mountain pass
mountain peak, alpine meadow, rolling hills*, vast plain, badlands*, mesa, butte, natural arch
cavern, stalactites*, lava field, snow-covered field, frozen lake, frozen waterfall, ice cave
starry sky, Milky Way above a desert, cloudy sky, clear blue sky, horizon over the sea
full moon over the hills, northern lights*, coastline, seashore, moorland, heath
terraced hillside, burnt forest, fallen tree in a forest, forest path, rocky desert
""")

BUILDING = """
house, apartment building, skyscraper, castle, palace, church, cathedral, mosque, temple, pagoda
tower, lighthouse, windmill, barn, cottage, hut, hotel, school, hospital, factory, warehouse
stadium, museum, train station, pyramid, greenhouse, shop |
mansion, villa, bungalow, farmhouse, log cabin, town house, row house, chalet, igloo, tepee
tree house, houseboat, shack, shed, garage, stable, silo, water mill, observatory, dome
clock tower, bell tower, minaret, steeple, synagogue, chapel, monastery, abbey, shrine, mausoleum
monument, obelisk, triumphal arch, amphitheater, fortress, city wall, city gate, watchtower
drawbridge, aqueduct, suspension bridge, stone bridge, covered bridge, dam, power station
control tower, oil refinery, office building, government building, city hall, courthouse
library building, post office, fire station, police station, bank building, department store
shopping center, gas station, motel, inn, tavern, opera house, theater, movie theater
concert hall, gatehouse, parking garage, glass facade, brick facade, brick house, wooden house
stone house, half-timbered house, adobe house, thatched cottage, abandoned house, haunted house
house with a red roof, spiral staircase, colonnade, gazebo, pavilion, modern house
Victorian house, construction crane beside a building, unfinished building, beach house, boathouse
airport terminal, bus station
"""

# Not states any more, or not ones, though WordNet has them among the countries; and those of which
# there are few photographs.
LEFT_OUT_COUNTRIES = words("""
Balkans, Carthage, East Germany, Eelam, Etruria, Flanders, North Vietnam, Rus
Serbia and Montenegro, South Vietnam, Soviet Union, Swaziland, West Germany, Yugoslavia, Holy See
Guinea-Bissau, Sao Tome and Principe, Micronesia, Nauru, Kiribati, Tuvalu, Palau, Comoros, Andorra
Antigua and Barbuda, Azerbaijan, Bahrain, Barbados, Belize, Benin, Brunei, Burkina Faso, Burundi
Cape Verde, Central African Republic, Chad, Djibouti, Dominica, East Timor, Equatorial Guinea
Eritrea, Gabon, Gambia, Grenada, Guinea, Guyana, Ivory Coast, Kyrgyzstan, Lesotho, Liberia
Liechtenstein, Luxembourg, Macedonia, Malawi, Marshall Islands, Mauritania, Moldova, Niger, Oman
Papua New Guinea, Rwanda, Saint Kitts and Nevis, Saint Lucia, Saint Vincent and the Grenadines
San Marino, Sierra Leone, Solomon Islands, Suriname, Tajikistan, Togo, Tonga, Trinidad and Tobago
Turkmenistan, Vanuatu, Zambia, Angola, Qatar, Kuwait, Paraguay, Mauritius, Samoa, Honduras
El Salvador, Mozambique, Botswana, Cameroon, Armenia
""")
# Countries that need the article.
THE_COUNTRIES = words("""
Bahamas, Netherlands, Philippines, Maldives, Seychelles, United Kingdom, United States
United Arab Emirates, Czech Republic, Dominican Republic, Congo
""")
# WordNet 3.0 is of 2006.
NEWER_COUNTRIES = words("Serbia, Montenegro, Taiwan, Wales, Greenland")

TABLE_LOCATIONS = words("""
the United States, Canada, Mexico, Cuba, Jamaica, Guatemala, Peru, Brazil, Argentina, Chile
Colombia, Bolivia, England, Scotland, Ireland, France, Spain, Portugal, Italy, Germany
Switzerland, Austria, the Netherlands, Belgium, Denmark, Norway, Sweden, Finland, Iceland, Poland
the Czech Republic, Hungary, Romania, Greece, Turkey, Russia, Ukraine, Egypt, Morocco, Algeria
Ethiopia, Kenya, Tanzania, Nigeria, Ghana, South Africa, Madagascar, Israel, Saudi Arabia, Iran
Iraq, Afghanistan, Pakistan, India, Nepal, Bangladesh, China, Japan, South Korea, North Korea
Mongolia, Thailand, Vietnam, Cambodia, Indonesia, the Philippines, Australia, New Zealand
Antarctica, Malaysia, Singapore, Sri Lanka, Croatia, Bulgaria, Venezuela, Ecuador, Lebanon
""")

CITIES = words("""
New York, Los Angeles, Chicago, San Francisco, Boston, Washington, Seattle, Miami, Las Vegas
New Orleans, Philadelphia, Honolulu, Toronto, Montreal, Vancouver, Mexico City, Havana, Lima
Buenos Aires, Sao Paulo, Rio de Janeiro, London, Liverpool, Edinburgh, Dublin, Paris, Brussels
Bruges, Amsterdam, Berlin, Munich, Cologne, Frankfurt, Vienna, Salzburg, Geneva, Rome, Vatican City
Venice
Florence, Milan, Naples, Pisa, Madrid, Barcelona, Seville, Lisbon, Athens, Istanbul, Prague
Budapest, Warsaw, Krakow, Dubrovnik, Oslo, Stockholm, Copenhagen, Helsinki, Reykjavik, Moscow
Saint Petersburg, Kiev, Jerusalem, Tel Aviv, Beirut, Baghdad, Tehran, Mecca, Dubai, Cairo
Marrakesh, Nairobi, Zanzibar, Cape Town, Johannesburg, Kabul, Delhi, Mumbai, Calcutta, Agra
Jaipur, Varanasi, Kathmandu, Bangkok, Hanoi, Ho Chi Minh City, Kuala Lumpur, Jakarta, Manila
Hong Kong, Shanghai, Beijing, Xi'an, Taipei, Tokyo, Kyoto, Hiroshima, Seoul, Samarkand, Sydney
Melbourne
""")

REGIONS = words("""
the Alps, the Himalayas, the Andes, the Rocky Mountains, the Sahara, the Amazon rain forest
the Grand Canyon, the Great Barrier Reef, the Caribbean, the Mediterranean coast, the Arctic
Patagonia, Siberia, Tuscany, Provence, Bavaria, the Scottish Highlands, Sicily, Bali, Hawaii
Alaska, California, Texas, Florida, the Australian outback, Lapland, the Serengeti
the Norwegian fjords, Yellowstone National Park, Central Park, Times Square, Manhattan
""")

COLOUR = """
red, orange, yellow, green, blue, purple, pink, brown, black, white, gray, gold, silver, beige |
turquoise, violet, crimson, maroon, navy blue, sky blue, olive green, lime green, emerald green
cream, tan, scarlet, magenta, lavender, teal, ivory, bronze, copper, peach
"""

COLOURED = words("""
car, dress, flower, door, wall, house, umbrella, balloon, boat, bicycle, hat, vase
""")

COLOURS_MORE = words("""
bright colors, dark colors, pastel colors, dull colors, neon colors, all the colors of the rainbow
earth tones, shades of gray, shades of blue, shades of green, shades of red, warm colors
cold colors, a color gradient, a photo in red and blue, a photo in black and red
a photo in blue and yellow, a photo in green and white, a photo in orange and blue
a photo in pink and purple, a photo in brown and beige, a photo in black and gold, a single color
two contrasting colors, colorful paint, colorful balloons, colorful houses, colorful spices
""")

SHAPE = """
circle, square, triangle, rectangle, oval, star, heart, spiral, ring, crescent, cross, hexagon
cube, sphere, cone, cylinder, pyramid, arrow |
octagon, pentagon, diamond, zigzag, arc, grid, straight line, wavy line, ellipse, semicircle, dome
cloverleaf, teardrop, snowflake
"""

SHAPES_MORE = words("""
a round window, a round table, a square box, a square tile, a rectangular frame
a rectangular swimming pool, a triangular roof, a triangular sign, a triangular sail
an oval mirror, an oval portrait, an octagonal tower, a hexagonal tile, a heart-shaped box
a star-shaped cookie, a crescent moon, a ring of stones, a spiral shell, a spiral staircase
a pointed arch, a curved bridge, a winding path, a straight road, a cone-shaped hat, a cube of ice
a ball of yarn, a cylindrical tower, a pyramid of oranges, a row of arches, a flat disc
a long thin pole, a sharp point, a jagged edge, rounded corners, concentric circles
parallel lines, crossing lines, diagonal lines, vertical lines, horizontal lines
a network of lines, a symmetrical shape, an irregular shape, a twisted shape, a tangled shape
geometric shapes, overlapping circles, stacked cubes, a hollow tube, a curled leaf
a forked branch, a V-shaped formation of birds, an L-shaped sofa, a U-shaped magnet
a dome-shaped tent, a bell-shaped flower, an egg-shaped stone, a fan-shaped leaf
a wedge of cheese, a coiled rope, a coiled snake
""")

TEXTURE = words("""
smooth, rough, soft, fluffy, furry, hairy, bumpy, cracked, wrinkled, scratched, rusty, shiny, wet
dusty, muddy, grainy, spiky, scaly, slimy, woven
""")

TEXTURES_MORE = words("""
rough tree bark, smooth pebbles, soft fur, fluffy feathers, fluffy clouds, bumpy skin of a toad
cracked mud, cracked paint, cracked glass, wrinkled paper, wrinkled skin, wrinkled fabric
scratched metal, rusty iron, shiny chrome, polished marble, polished wood, wet asphalt, wet glass
wet leaves, dusty shelves, muddy boots, grainy sand, coarse sand, coarse salt, spiky leaves
spiky needles of a cactus, scaly skin of a lizard, fish scales, slimy seaweed, woven straw
woven cloth, knitted wool, braided rope, tangled hair, tangled wires, crumpled foil
crumbling plaster, peeling paint, peeling bark, weathered wood, weathered stone, splintered wood
foamy water, rippling water, bubbles in water, frothy milk, melting ice, melting chocolate
frost on glass, powdery snow, crusty bread, crispy bacon, flaky pastry, sticky honey, creamy sauce
juicy fruit, velvety petals, silky hair, glossy leaves, matte paper, translucent curtains
transparent plastic, frosted glass, embossed leather, worn leather, quilted fabric, lace, burlap
corrugated cardboard, corrugated metal, hammered copper, brushed steel, chipped porcelain
mossy rocks, jagged rocks, gravel, dry grass, dead leaves, soap bubbles, honeycomb, sponge, coral
cobwebs, raindrops on a window, dew on grass, tufts of wool
""")

PATTERN = """
stripes, polka dots, checks, plaid, zigzags, flowers, paisley, leopard spots, zebra stripes
camouflage, a grid, diamonds, swirls, stars, leaves, hearts |
tiger stripes, cow spots, snakeskin, honeycomb cells, bricks, tiles, mosaic pieces, waves
chevrons, houndstooth, pinstripes, concentric rings, geometric figures, hexagons, triangles, vines
tie-dye, animal prints, tartan, feathers, spirals, crosses, lattice, diagonal stripes
vertical stripes, horizontal stripes, splatters, marbling, wood grain, arabesques, Celtic knots
fractals, tribal designs, circles, snowflakes, letters, bubbles
"""

MATERIAL = """
wood, metal, glass, plastic, paper, cardboard, stone, brick, concrete, clay, leather, wool, cotton
silk, rubber, gold, silver, marble, ice, straw |
copper, bronze, brass, steel, iron, aluminum, granite, sandstone, slate, porcelain, ceramic
crystal, bamboo, wicker, ivory, bone, wax, foam, denim, velvet, felt, lace, fur, canvas, linen
rope, wire, cork, sand, snow, mud, cement, plaster, chalk, jade, amber, pearl, nylon, plywood, oak
"""

MADE = words("""
a wooden table, a wooden bridge, a wooden spoon, wooden planks, a metal gate, metal pipes
a glass bottle, a glass door, a plastic cup, plastic bags, a plastic chair, a paper lantern
a paper boat, a cardboard box, a stone wall, a stone statue, a brick wall, a brick oven
a concrete floor, concrete blocks, a clay pot, a leather bag, a leather sofa, a wool sweater
a ball of wool, cotton cloth, a silk scarf, a rubber duck, rubber boots, a gold ring, a gold coin
a silver spoon, silver jewelry, a marble column, a marble floor, an ice sculpture, a straw roof
a straw basket, a copper kettle, a bronze statue, a brass doorknob, a steel bridge, an iron fence
a granite countertop, a slate roof, a porcelain doll, a porcelain vase, ceramic tiles
a crystal glass, a bamboo fence, a wicker chair, a denim jacket, a velvet curtain, a felt hat
a lace dress, a fur coat, a canvas bag, a linen tablecloth, a wire fence, a wax candle
a sandcastle, a mud hut, a tin can, aluminum foil, a plaster cast, a jade figurine
a thatched roof, a tiled roof, a chain of steel, stainless steel pans
""")

NUMBERS = words("one, two, three, four, five, six, eight, ten, twelve")
COUNTED = words("""
apples, people, birds, cars, dogs, books, bottles, flowers, boats, chairs, candles, children
""")
COUNTS = words("""
one object, two objects, three objects, four objects, five objects, six objects, seven objects
eight objects, nine objects, ten objects, many objects
""")
AMOUNTS = words("""
a single flower, a single tree in a field, a single person, a pair of shoes, a pair of birds
a couple of cups, a dozen eggs, several people, a few trees, many boats, many books, many people
hundreds of birds, thousands of people, a flock of sheep, a flock of birds, a herd of cows
a herd of elephants, a school of fish, a swarm of bees, a pack of wolves, a row of houses
a row of chairs, a row of trees, a stack of books, a stack of plates, a pile of coins
a pile of clothes, a heap of stones, a bunch of keys, a bunch of grapes, a bouquet of flowers
a crowd of people, a collection of toys, a set of tools, an empty room, an empty street
an empty chair, a full shelf, a crowded street, a lone wolf, a lone boat, twins, triplets
a trio of musicians, a quartet, countless stars, rows of identical houses
""")

WEATHER = words("""
sunny, cloudy, rainy, snowy, foggy, stormy, windy, hazy
""")
WEATHERS_MORE = words("""
a thunderstorm over a city, lightning over the sea, a bolt of lightning, a tornado, a hurricane
a sandstorm, a snowstorm, a blizzard, heavy rain on a street, light rain on a window
drizzle over a lake, a rain shower, a rainbow over a valley, a double rainbow, a clear sky
a blue sky with white clouds, a gray sky, dark storm clouds, an overcast sky, scattered clouds
a sea of clouds, low clouds on a mountain, thick fog in a forest, fog over a river
morning mist over a field, haze over a city, smog over a city, frost on the grass, ice on a branch
icicles on a roof, hail on the ground, falling snow, fresh snow on a street, melting snow
a snow-covered car, a puddle after the rain, a flooded street, a wet road
people with umbrellas in the rain, children in the snow, trees bent by the wind
hair blown by the wind, flags in the wind, waves in a storm, leaves blown by the wind
a dry riverbed, cracked earth in the heat, bright sunshine, sunshine after rain, a cold winter day
a hot summer day, a mild spring day, a gloomy day, a misty lake, a snowy village
a rainy city street, a foggy bridge, a windy beach, a cloudy mountain, a sunny terrace
a sunny garden
""")

TIMES = words("""
at sunrise, in the morning, at noon, in the afternoon, at sunset, at dusk, at night
""")
TIME_SCENES = words("""
a city, a beach, a lake, a mountain, a street, a harbor, a village
""")
TIMES_MORE = words("""
a sunrise over the sea, a sunset over the desert, the golden hour in a field
the blue hour in a city, the first light of day on a mountain, an orange evening sky
a pink morning sky, the moon in a dark sky, the Milky Way at night, star trails in the night sky
a midnight street, a moonlit lake, a city lit up at night, a campfire at night, fireworks at night
car lights on a road at night, long shadows in the evening, short shadows at midday
a rooster at dawn, breakfast in the morning light, a night market, a lighthouse at dusk
lit windows at night, a full moon, a starry night, a dark night, bright daylight, a twilight sky
""")

SEASON = words("spring, summer, autumn, winter")
SEASON_SCENES = words("""
a park, a forest, a garden, a village, a mountain valley, a city street, a country road, a field
""")
SEASONS_MORE = words("""
cherry blossoms in spring, fresh green leaves, lambs in a meadow, tulips in bloom
melting snow on a slope, people on a summer beach, a sunflower field in summer
children at a sprinkler, ripe wheat in the sun, ice cream on a hot day, red maple leaves
fallen leaves on the ground, pumpkins in a field, a grape harvest, a tree with yellow leaves
bare trees, snow on the rooftops, a snowman in a garden, an ice-covered river, a Christmas market
skaters on a frozen pond, frosted branches, a sled on a hill, an orchard in bloom
""")

LIGHTING = words("""
bright sunlight, soft light, dim light, candlelight, moonlight, neon light, backlight, a spotlight
a flash, colored light, fluorescent light, firelight, light from an overcast sky
""")
LIGHTS_MORE = words("""
sunbeams through trees, sunlight through a window, sunlight on water, light through stained glass
light through a keyhole, a shaft of light in a dark room, a beam of light
rays of light through clouds, a candlelit table, a face lit by a candle, a face lit by a screen
a face half in shadow, a room lit by a lamp, a street lit by lamps, a stage lit by spotlights
a singer in a spotlight, a neon sign in the dark, a city in neon light, a bonfire in the dark
glowing embers, glowing lanterns, paper lanterns in the dark, string lights in a garden
fairy lights, Christmas lights on a house, blurred lights in the dark, headlights in the fog
a lighthouse beam, a flashlight in the dark, a lens flare, a reflection of the sun
reflections on wet pavement, glittering water, a sparkling diamond, a shimmering surface
a glowing screen, a dark silhouette against the sky, a silhouette of a tree
a silhouette of a dancer, a backlit leaf, a backlit portrait, a rim of light around hair
strong contrast of light and shadow, long shadows on the ground, the shadow of a person
the shadow of a tree, shadows on a wall, the shadow of a fence, dappled light in a forest
golden light on a field, pale winter light, warm evening light, cold blue light
red light in a dark room, green light, purple stage light, a dark room, a dimly lit corridor
a bright white room, an overexposed window, an underexposed street, a softly lit face
studio lighting, a ring of light in the eyes, a camera flash at a party, sparks in the dark
welding sparks, trails of light, laser beams, a glowing light bulb, light from below
light from the side, light from above
""")

STYLE = words("""
a photograph, an oil painting, a watercolor painting, a pencil sketch, a charcoal drawing
an ink drawing, a cartoon, a comic strip, an anime picture, a child's drawing, a 3D rendering
pixel art, a sculpture, a mosaic, graffiti, a woodcut, an engraving, a collage, an embroidery
origami, a stained glass window, a vintage poster, a blueprint, a screenshot, a logo, an icon
""")
STYLE_KINDS = words("""
an oil painting, a watercolor painting, a pencil sketch, a charcoal drawing, an ink drawing
a cartoon, an anime picture, a child's drawing, a 3D rendering, pixel art, a sculpture, a mosaic
a woodcut, an engraving, a collage, an embroidery, an origami model, a low-poly rendering
a pastel drawing, a line drawing, an abstract painting, a plush toy, a tattoo, a paper cutout
a clay figure, a stencil, a silhouette, a caricature, a pop art picture, a wood carving
""")
STYLE_SUBJECTS = words("""
a cat, a woman, a ship, a tree, a city, a horse, a house, a bird, a flower, a man
""")
STYLES_MORE = words("""
an impressionist painting, an expressionist painting, a cubist painting, a surrealist painting
a baroque painting, a Renaissance portrait, a medieval manuscript, a Byzantine icon
a Japanese woodblock print, a Chinese ink painting, Chinese calligraphy, an Islamic tile pattern
an Egyptian wall painting, a cave painting, a Greek vase painting, a Roman mosaic, an African mask
an Indian miniature painting, an Aboriginal dot painting, a Mexican mural, an Art Nouveau poster
an Art Deco poster, a minimalist picture, abstract art, street art, a mural on a wall
a still life painting, a landscape painting, a portrait painting, a fresco on a ceiling
a marble bust, a coloring book page, a storybook illustration, a botanical illustration
a scientific diagram, an anatomical drawing, an architectural drawing, a fashion sketch
a technical drawing, a movie poster, a propaganda poster, a travel poster, a magazine cover
an album cover, a book cover, a playing card, a postage stamp, a coat of arms
a video game screenshot, a computer-generated image, a neon artwork, a sand sculpture
a chalk drawing on a sidewalk, a finger painting, a patchwork quilt, an old tapestry
a silhouette cut from paper, a retro advertisement, steampunk art, cyberpunk art, gothic art
fantasy art, science fiction art, a psychedelic poster, a photo collage, a double exposure
glitch art, a vintage photograph, a sepia photograph, an old family photograph, a passport photo
a fashion photograph, a news photograph, a wedding photograph, a product photograph, a stock photo
a selfie
""")

CAMERA = words("""
black and white, in sepia, blurry, overexposed, underexposed, grainy, taken from above
taken from below, taken up close, taken from far away, taken with a fisheye lens
taken with a wide-angle lens, taken with a macro lens, taken through a microscope
taken through a telescope, taken from an airplane, taken underwater, taken with a drone
taken with night vision, taken with an infrared camera, taken with a long exposure, tilted
cropped, pixelated
""")
CAMERA_SUBJECTS = words("""
a person, a dog, a city, a flower, a car, a landscape, a building, an insect, food, a bird
""")
CAMERA_TEMPLATES = words("""
a black and white photo of {}, a blurry photo of {}, a close-up photo of {}, an aerial photo of {}
a low-resolution photo of {}, a wide-angle photo of {}, a grainy photo of {}, a dark photo of {}
an overexposed photo of {}, a cropped photo of {}
""")
CAMERA_MORE = words("""
a photo with a blurred background, a photo with a blurred foreground
a photo with a shallow depth of field, a photo with everything in focus, a photo out of focus
a photo with motion blur, a photo with camera shake, a photo with a long exposure
a photo with a high shutter speed, a photo with a fisheye lens, a photo with a macro lens
a photo with a telephoto lens, a photo with a wide-angle lens, a photo with a tilt-shift effect
a photo with bokeh, a photo with lens flare, a photo with dark corners
a photo with a white border, a photo with a black frame, a photo with film grain
a photo with digital noise, a photo with compression artifacts, a photo with low contrast
a photo with high contrast, a photo with faded colors, a photo with vivid colors
a photo with pastel colors, a photo with a blue tint, a photo with a yellow tint
a photo with a green tint, a photo with a red tint, a photo with warm colors
a photo with cool colors, a photo with inverted colors, a photo with a color filter
a photo with one color only, a photo in sepia, a photo in black and white, a photo in infrared
a photo in portrait format, a photo in landscape format, a square photo, a panoramic photo
an upside-down photo, a tilted photo, a mirrored photo, a photo taken from above
a photo taken from below, a photo taken at eye level, a photo taken from behind
a photo taken from the side, a photo taken from the front, a photo taken from a distance
a photo taken up close, a photo taken through a window, a photo taken through a fence
a photo taken through a microscope, a photo taken through a telescope
a photo taken from an airplane, a photo taken from space, a photo taken by a drone
a photo taken underwater, a photo taken with night vision, a photo taken with a phone
a photo taken with a flash, a photo taken by a security camera, a photo taken with an old camera
a Polaroid photo, a thermal image, an X-ray image, a satellite image, an ultrasound image
a scanned document, a film negative, a contact sheet, a photo of a screen
a before and after photo, two photos side by side, a grid of photos, a time-lapse photo
a slow-motion frame, a frame of a movie, a webcam picture, a photo with a watermark
a photo with a date stamp, a photo with scratches, a torn photo
a photo with a finger over the lens, a photo with a reflection, a symmetrical photo
a silhouette photo, a photo with much empty space, a photo filled by its subject
a portrait of one person, a full-body portrait, a head-and-shoulders portrait, a group portrait
a candid photo, a posed photo, a macro photo of an eye
""")

TEXT = words("""
no text, one word, one letter, one number, a short sentence, a long text, handwriting, a sign
a logo, Chinese writing, Arabic writing, a brand name, a date, a signature
""")
TEXTS_MORE = words("""
handwriting on paper, a handwritten letter, a handwritten note, a page of printed text
an open book with small print, a newspaper page with headlines, a magazine cover with a title
a poster with large letters, a sign with an arrow, a street sign with a name
a road sign with a number, a stop sign, a shop sign, a neon sign with a word, a menu board
a chalkboard with writing, a whiteboard with equations, a mathematical formula, a sheet of music
a page of a dictionary, a crossword puzzle, a calendar page, a clock face with Roman numerals
a license plate, a house number, a phone number, a price tag, a ticket with a date, a bar code
a QR code, a product label, a bottle with a label, a warning label, a brand logo
a company logo on a building, a T-shirt with a slogan, a jersey with a number
a banner with a slogan, a protest sign, a billboard with an advertisement
a certificate with a seal, a passport page, a bank note, a coin with a year
a gravestone with a name, an inscription on stone, a plaque with text, graffiti letters on a wall
a tattoo of a word, a keyboard with letters, alphabet blocks, the letter A, the letter B
the letter X, the number one, the number seven, the number zero, the word hello, the word love
the word stop, the word open, the word sale, Chinese characters, Japanese writing, Korean writing
Arabic calligraphy, Hebrew letters, Russian letters, Greek letters, Hindi writing
Egyptian hieroglyphs, Braille dots, an old manuscript, a typewritten page
a computer screen with code, a screenshot of a web page, a text message on a phone
an error message on a screen, a table of numbers, a bar chart, a pie chart, a line graph
a map with place names, a subway map, a timetable, a family tree, a flow chart
a meme with a caption, a comic with speech bubbles, a subtitle on a screen, a movie title
a book spine with a title, a business card, an envelope with an address, a postmark
a ransom note of cut letters, a scoreboard with numbers, a ruler with numbers
a signature on paper, a rubber stamp on paper, a birthday card, a cake with a name on it
""")

EMOTION = words("""
happy, sad, angry, afraid, surprised, disgusted, calm, tired, bored, excited, proud, worried, shy
confused, in love
""")
EMOTIONS = words("""
happy, sad, angry, frightened, surprised, disgusted, calm, tired, bored, excited, proud, worried
shy, confused, cheerful, lonely, serious, thoughtful, relaxed, nervous, embarrassed, jealous
laughing, crying, smiling, frowning, screaming, grinning, determined, suspicious
""")
EMOTION_PERSONS = words("man, woman, child, girl")
EMOTIONS_MORE = words("""
tears on a face, a big smile, a broad grin, a wink, a frown, a sneer, a pout, wide-open eyes
raised eyebrows, a yawn, a loving couple, a hug between friends, a kiss on the cheek
a couple holding hands, fans cheering, a crowd in joy, a team celebrating a victory
a player after a defeat, mourners at a funeral, a mother comforting a child
a child afraid of the dark, a quarrel between two people, a couple in an argument, a shouting man
a person in despair, a person hiding the face in the hands, a peaceful sleeping baby
a laughing baby, a crying baby, a playful puppy, a sad dog, a growling dog, a grumpy cat
a frightened cat, a gloomy street, a cozy room, a scary mask, a creepy doll, a romantic dinner
a peaceful lake, a lonely bench, a joyful dance, a tense moment in a game, a solemn ceremony
""")

ACTION = words("""
walking, running, jumping, sitting, standing, lying down, sleeping, eating, drinking, cooking
reading, writing, drawing, painting, singing, dancing, playing music, talking, laughing, crying
kissing, hugging, fighting, shaking hands, waving, pointing, climbing, swimming, diving, surfing
skiing, skating, cycling, riding a horse, driving, fishing, hunting, throwing a ball
kicking a ball, lifting weights, doing yoga, boxing, working at a computer, talking on the phone
taking a picture, shopping, cleaning, washing dishes, brushing teeth, combing hair, gardening
digging, sawing wood, sewing, carrying a box, pushing a cart, praying, smoking, blowing bubbles
opening a door, reading a map, watching television, playing chess
""")
ACTIONS_MORE = words("""
kneeling, crawling, crouching, stretching, bending over, leaning against a wall, falling, sneezing
yawning, whistling, clapping, saluting, bowing, hiding, rolling down a hill, skipping rope
doing a handstand, doing a cartwheel, doing push-ups, jogging, sprinting, hiking, camping
rock climbing, skydiving, bungee jumping, paragliding, snowboarding, sledding, ice skating
skateboarding, roller skating, rowing, kayaking, sailing, water skiing, snorkeling, scuba diving
playing football, playing basketball, playing baseball, playing tennis, playing volleyball
playing golf, playing hockey, playing table tennis, playing badminton, bowling, fencing, wrestling
doing karate, shooting an arrow, playing the guitar, playing the piano, playing the violin
playing the drums, playing the flute, playing cards, playing video games, juggling
doing a magic trick, acting on a stage, giving a speech, teaching a class, raising a hand
reading a newspaper, reading a book, writing a letter, typing, studying, painting a wall
carving wood, hammering a nail, drilling a hole, welding, fixing a car, changing a tire
washing a car, filling a gas tank, mowing the lawn, raking leaves, watering plants
planting a tree, picking apples, harvesting grapes, milking a cow, feeding birds, walking a dog
petting a cat, shearing a sheep, chopping wood, lighting a candle, building a sandcastle
building a snowman, throwing a snowball, shoveling snow, holding an umbrella, holding a baby
pushing a stroller, pulling a suitcase, carrying a backpack, waiting for a bus, getting on a train
crossing the street, riding a motorcycle, riding a bicycle, riding a camel, flying a kite
cutting vegetables, stirring a pot, kneading dough, baking bread, frying an egg, grilling meat
pouring coffee, pouring wine, drinking beer, eating pizza, eating ice cream, licking a lollipop
biting an apple, blowing out candles, setting a table, washing hands, taking a shower, shaving
putting on makeup, getting a haircut, tying shoelaces, trying on a hat, ironing a shirt
folding clothes, hanging laundry, sweeping the floor, vacuuming a carpet, making a bed
taking a nap, sunbathing, looking in a mirror, looking through a telescope
looking through a microscope, looking out of a window, looking at a phone, taking a selfie
counting money, paying at a counter, signing a document, opening a present, wrapping a present
decorating a tree
""")
ACTORS = words("a man, a woman, a person, an old man, a young woman")

EVENT = words("""
a wedding, a birthday party, a funeral, a concert, a parade, a festival, a protest
a football match, a race, a graduation, a picnic, a business meeting, a religious ceremony, a fire
a flood, a traffic accident, a war, a fashion show, a theater performance, a market day
a Christmas celebration, a sports victory
""")
EVENTS_MORE = words("""
a traditional wedding, a beach wedding, a first dance, a bridal shower, a baby shower
a children's birthday party, a surprise party, a New Year's Eve party, a Halloween party
a Christmas dinner, a Thanksgiving dinner, an Easter egg hunt, a Hanukkah celebration
a Diwali celebration, a Chinese New Year parade, a Holi festival, an Independence Day parade
a carnival parade, a military parade, a street festival, a film festival, a music festival
a rock concert, a jazz concert, a classical concert, an opera performance, a ballet performance
a circus show, a magic show, a puppet show, a play at a school, a talent show, a beauty contest
an award ceremony, an opening ceremony, a press conference, a lecture, a political rally
striking workers, a demonstration, a riot, a candlelight vigil, a church service, a baptism
a pilgrimage, a procession, a marathon, a bicycle race, a horse race, a car race, a boat race
a swimming competition, a boxing match, a tennis match, a baseball game, a basketball game
a hockey game, the Olympic Games, a chess tournament, a rodeo, a bullfight, a dog show
a science fair, a book fair, a trade fair, an auction, a flea market, a job interview
a team meeting, a dinner party, a barbecue party, a tea party, a dance party, a family reunion
a school trip, a camping trip, a hunting trip, a field trip, a car crash, a train crash
a house fire, a forest fire, an explosion, a volcanic eruption, an earthquake, a shipwreck
a rescue at sea, a rocket launch, a solar eclipse, a fireworks display, a harvest festival
a ribbon-cutting ceremony
""")

SIZE = words("""
a tiny insect on a leaf, a tiny house, a tiny baby hand, a small boat on a large lake
a small dog beside a large dog, a small island, a small village in a wide valley
a small child beside a tall man, a miniature car, a miniature train, a miniature village
a dollhouse chair, a giant pumpkin, a giant statue, a giant balloon, a huge crowd, a huge tree
a huge wave, a huge ship, a huge rock, a large building, a large dog, a large flower
a large window, a big truck, a big stack of books, a tall tower, a tall tree, a tall glass
a tall woman, a short pencil, a short fence, a long bridge, a long road, a long table
a long line of people, a wide river, a wide street, a narrow alley, a narrow bridge, a thin line
a thin branch, a thick rope, a thick book, a deep canyon, a shallow pond, a high wall
a low ceiling, a fat cat, a slim vase, an enormous cave, an oversized chair, a pocket-sized book
a mouse beside an elephant, a very small object, a very large object, objects of different sizes
""")

POSITION = words("""
a cup on a table, a cat under a table, a dog beside a chair, a lamp above a table
a picture on a wall, a bird on a branch, a bird in a cage, a ball in a box
a book between two bookends, a boat under a bridge, a plane above the clouds
a child behind a curtain, a car in front of a house, a house behind trees, a bench under a tree
a bridge over a river, a tunnel through a mountain, a path around a lake, a fence around a garden
a ladder against a wall, a bicycle against a wall, shoes on the floor, shoes under a bed
clothes on a line, fruit in a bowl, keys in a hand, a hat on a head, a ring on a finger
a flower in a vase, a candle on a cake, fish in a tank, a person in a doorway
a person at a window, a person on a roof, a person on top of a mountain
a person in the middle of a crowd, a face in a mirror, an object in the center
an object on the left, an object on the right, an object at the top, an object at the bottom
an object in the corner, an object in the foreground, an object in the background
an object at the edge of the picture, two people face to face, two people back to back
two people side by side, people in a circle, people in a row, chairs in a circle, cars in a line
books side by side, boxes on top of each other, stones stacked on top of each other
a person seen from the left, a person seen from the right, a person facing the camera
a person looking away, a person looking up, a person looking down, a person looking to the left
a person looking to the right, a car seen from behind, a car seen from the front
a car seen from the side, an arrow pointing left, an arrow pointing right, an arrow pointing up
an arrow pointing down, a leaning tower, a person upside down, a reflection in water
a road into the distance, railroad tracks into the distance, a view from a window
a view through an arch, a view down a staircase, a view up at the ceiling, a view over rooftops
a subject far from the camera, a subject close to the camera, a horizon in the upper half
a horizon in the lower half
""")

# Newer than WordNet 3.0, or of another kind there.
NOT_IN_WORDNET = set(words("""
ramen*, milkshake, hoodie, smartphone, whiteboard, barista, high heels*, wetsuit, spiderweb
rosary, haystack, campfire, bonfire, mistletoe*, teeth*, freckles*, scales*, pyramid
"""))

# Among the most frequent words of WordNet, but not for a list that is shown to anyone. Insults are
# left out by what WordNet says of them.
BLOCKED = set(words("""
bastard, bloody, breast, colored, damn, damned, goddamn, naked, prick, queer, sex, sexual, slave
nazi, hell, rape, bitch, negro
"""))
