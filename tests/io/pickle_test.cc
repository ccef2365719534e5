#include "cliplens/io/pickle.h"

#include "tests/expect_error.h"
#include "tests/torch_builder.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

using pickle::kHead;

bool Harmless(std::string_view name) { return name == "collections.OrderedDict" || name == "a.b"; }

Pickle Read(const std::string& program, const PickleLimits& limits = {}) {
  // The objects' texts lie in the bytes, which have to stay.
  static std::deque<std::string> kept;
  kept.push_back(program);
  const std::string& bytes = kept.back();
  return ReadPickle({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, "file",
                    Harmless, limits);
}

void Refused(ErrorCode code, const std::string& words, const std::string& program,
             const PickleLimits& limits = {}) {
  ExpectError(code, words, [&] { Read(program, limits); });
}

std::string Repeat(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

TEST(Pickle, ValuesOfEachKind) {
  const std::string program = kHead + "(" + "N" + "\x88" + "\x89" + pickle::Int(-7) + "K\x09" +
                              std::string("M\x01\x02") + std::string("\x8a\x02\x00\xff", 4) +
                              std::string("G\x3f\xf8\0\0\0\0\0\0", 9) + pickle::Text("ä") +
                              std::string("U\x01z") + std::string("C\x02\0\1", 4) + "t.";
  const Pickle p = Read(program);
  const std::vector<PickleRef>& items = p[p.root].items;
  ASSERT_EQ(items.size(), 11u);
  EXPECT_EQ(p[items[0]].kind, PickleKind::kNone);
  EXPECT_EQ(p[items[1]].integer, 1);
  EXPECT_EQ(p[items[2]].integer, 0);
  EXPECT_EQ(p[items[3]].integer, -7);
  EXPECT_EQ(p[items[4]].integer, 9);
  EXPECT_EQ(p[items[5]].integer, 0x201);
  EXPECT_EQ(p[items[6]].integer, -256);
  EXPECT_EQ(p[items[7]].real, 1.5);
  EXPECT_EQ(p[items[8]].text, "ä");
  EXPECT_EQ(p[items[9]].text, "z");
  EXPECT_EQ(p[items[10]].text, std::string_view("\0\1", 2));
  EXPECT_EQ(p.size, program.size());
}

TEST(Pickle, ContainersMemoAndCalls) {
  // {"k": [1, 2]} twice through the memo, then a call with a state.
  const Pickle p = Read(kHead + "(" + pickle::Dict({{"k", "](K\1K\2e"}}) + "q\5" + "h\5" +
                        pickle::Name("a", "b") + ")R" + pickle::Dict({{"s", "K\3"}}) + "b" + "t.");
  const std::vector<PickleRef>& items = p[p.root].items;
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0], items[1]);
  EXPECT_EQ(p[p[items[0]].items[1]].items.size(), 2u);
  const PickleObject& call = p[items[2]];
  ASSERT_EQ(call.kind, PickleKind::kCall);
  EXPECT_EQ(p[call.items[0]].text, "a.b");
  EXPECT_EQ(p[p[call.state].items[1]].integer, 3);
}

TEST(Pickle, AnOrderedDictionaryIsADictionary) {
  const std::string name = pickle::Name("collections", "OrderedDict");
  const Pickle filled = Read(kHead + name + ")R(" + pickle::Text("a") + "K\1u" +
                             pickle::Dict({{"_metadata", "N"}}) + "b.");
  EXPECT_EQ(filled[filled.root].kind, PickleKind::kDict);
  EXPECT_EQ(filled[filled.root].items.size(), 2u);
  const Pickle pairs = Read(kHead + name + "](](" + pickle::Text("a") + "K\1ee\x85R.");
  EXPECT_EQ(pairs[pairs.root].kind, PickleKind::kDict);
}

TEST(Pickle, ProtocolsFourAndFive) {
  const std::string frame = std::string("\x95") + Bytes(std::uint64_t{4});
  const Pickle p =
      Read("\x80\x05" + frame + "\x8c\x01" + "a" + "\x94" + "\x8c\x01" + "b" + "\x94\x93\x94)R.");
  EXPECT_EQ(p[p[p.root].items[0]].text, "a.b");
}

TEST(Pickle, ANameThatCouldBeCodeIsRefusedByName) {
  for (const auto& [module, attribute] :
       {std::pair("os", "system"), std::pair("posix", "system"), std::pair("builtins", "eval"),
        std::pair("subprocess", "Popen"), std::pair("", "")}) {
    Refused(ErrorCode::kUnsupported, fmt::format("'{}.{}'", module, attribute),
            kHead + pickle::Name(module, attribute) + pickle::Tuple({pickle::Text("true")}) + "R.");
    Refused(ErrorCode::kUnsupported, fmt::format("'{}.{}'", module, attribute),
            kHead + pickle::Text(module) + pickle::Text(attribute) + "\x93)R.");
  }
}

TEST(Pickle, OpcodesThatMakeObjectsOfUnknownClassesAreRefused) {
  for (const char* op : {"ios\nsystem\n", "o", "\x82\1", "P1\n", "I1\n", "\x97", "F1\n", "\xff"}) {
    Refused(ErrorCode::kUnsupported, "opcode", kHead + "(" + op + ".");
  }
  Refused(ErrorCode::kUnsupported, "protocol 6", "\x80\x06N.");
}

TEST(Pickle, ProgramsThatContradictThemselves) {
  Refused(ErrorCode::kCorruptData, "ends in the middle", "");
  Refused(ErrorCode::kCorruptData, "ends in the middle", kHead + "N");
  Refused(ErrorCode::kCorruptData, "ends in the middle", kHead + "X\xff\0\0\0a.");
  Refused(ErrorCode::kCorruptData, "ends in the middle", kHead + "J\1");
  Refused(ErrorCode::kCorruptData, "ends with 0 values", kHead + ".");
  Refused(ErrorCode::kCorruptData, "ends with 2 values", kHead + "NN.");
  Refused(ErrorCode::kCorruptData, "open marks", kHead + "N(.");
  Refused(ErrorCode::kCorruptData, "empty stack", kHead + "0.");
  Refused(ErrorCode::kCorruptData, "empty stack", kHead + "2.");
  Refused(ErrorCode::kCorruptData, "empty stack", kHead + "N(\x85.");
  Refused(ErrorCode::kCorruptData, "never set", kHead + "h\7.");
  Refused(ErrorCode::kCorruptData, "mark that was never set", kHead + "Nt.");
  Refused(ErrorCode::kCorruptData, "key without a value", kHead + "}(Nu.");
  Refused(ErrorCode::kCorruptData, "adds members of a list to a tuple", kHead + ")Na.");
  Refused(ErrorCode::kCorruptData, "calls a string", kHead + pickle::Text("x") + ")R.");
  Refused(ErrorCode::kCorruptData, "not with a tuple", kHead + pickle::Name("a", "b") + "]R.");
  Refused(ErrorCode::kCorruptData, "a state", kHead + "]Nb.");
  Refused(ErrorCode::kCorruptData, "name without an end", kHead + "cos");
  Refused(ErrorCode::kCorruptData, "where a name was expected", kHead + "NN\x93.");
  Refused(ErrorCode::kCorruptData, "frame of",
          kHead + std::string("\x95") + Bytes(std::uint64_t{1} << 60) + "N.");
}

TEST(Pickle, LimitsAreKept) {
  Refused(ErrorCode::kExhausted, "nested values", kHead + Repeat("(", 1001));
  Refused(ErrorCode::kExhausted, "more than 5 objects", kHead + Repeat("N", 6), {.objects = 5});
  Refused(ErrorCode::kExhausted, "values on its stack", kHead + "N" + Repeat("2", 9), {.stack = 5});
  Refused(ErrorCode::kExhausted, "bytes in one string", kHead + pickle::Text("long") + ".",
          {.text = 3});
  Refused(ErrorCode::kExhausted, "memos",
          kHead + "N" + std::string("r") + Bytes(std::uint32_t{0xFFFFFFF0}) + ".");
  Refused(ErrorCode::kExhausted, "bytes in a name",
          "\x80\x04" + pickle::Text(std::string(5000, 'a')) + pickle::Text("b") + "\x93.");
  // Copies of one list over and over.
  Refused(ErrorCode::kExhausted, "members copied",
          kHead + pickle::Name("collections", "OrderedDict") + std::string("q\0", 2) + "](" +
              Repeat("NN\x86", 50) + "e\x85q\1R0" + Repeat(std::string("h\0h\1R0", 6), 9) + "N.",
          {.objects = 400});
}

TEST(Pickle, DeepNestingIsReadWithoutRecursion) {
  const int depth = 200'000;
  const Pickle p = Read(kHead + Repeat("]", depth) + Repeat("a", depth - 1) + ".");
  EXPECT_EQ(p.objects.size(), ToSize(depth));
}

}  // namespace
}  // namespace cliplens
