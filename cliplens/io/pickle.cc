#include "cliplens/io/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr std::size_t kMaxNameBytes = 4096;
constexpr std::uint64_t kMaxProtocol = 5;

// Opcodes by the letters and numbers of Python's pickletools.
enum Op : std::uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kDict = 'd',
  kEmptyDict = '}',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kList = 'l',
  kEmptyList = ']',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8A,
  kLong4 = 0x8B,
  kShortBinUnicode = 0x8C,
  kBinUnicode8 = 0x8D,
  kBinBytes8 = 0x8E,
  kEmptySet = 0x8F,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kNewObjEx = 0x92,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kByteArray8 = 0x96,
};

// Containers that a pickle makes by a call and then fills.
constexpr std::string_view kDictNames[] = {"collections.OrderedDict", "collections.defaultdict",
                                           "builtins.dict", "__builtin__.dict"};
constexpr std::string_view kListNames[] = {"builtins.list", "__builtin__.list"};
constexpr std::string_view kSetNames[] = {"builtins.set", "__builtin__.set", "builtins.frozenset",
                                          "__builtin__.frozenset"};

bool IsOneOf(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

class Machine {
 public:
  Machine(std::span<const std::uint8_t> bytes, const std::string& name,
          const std::function<bool(std::string_view)>& known, const PickleLimits& limits)
      : bytes_(bytes), name_(name), known_(known), limits_(limits) {}

  Pickle Run() {
    while (true) {
      start_ = at_;
      const std::uint8_t op = Take(1)[0];
      if (op == kStop) break;
      Step(op);
    }
    if (stack_.size() != 1 || !marks_.empty()) {
      Corrupt("ends with {} values on its stack and {} open marks, not with one value",
              stack_.size(), marks_.size());
    }
    pickle_.root = stack_.back();
    pickle_.size = at_;
    return std::move(pickle_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void Corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(ErrorCode::kCorruptData, "{}: byte {}: the pickle {}; the file is damaged", name_,
                start_, fmt::format(format, std::forward<Args>(args)...));
  }
  [[noreturn]] void TooMuch(const char* what, Index limit) const {
    throw Error(ErrorCode::kExhausted, "{}: byte {}: the pickle has more than {} {}", name_, start_,
                limit, what);
  }

  std::span<const std::uint8_t> Take(std::uint64_t count) {
    if (count > bytes_.size() - at_) {
      Corrupt("ends in the middle: {} bytes are wanted and {} are left", count,
              bytes_.size() - at_);
    }
    const auto taken = bytes_.subspan(at_, ToSize(count));
    at_ += ToSize(count);
    return taken;
  }

  // A little-endian number of `width` bytes.
  std::uint64_t Number(std::size_t width) {
    std::uint64_t value = 0;
    const auto bytes = Take(width);
    for (std::size_t i = 0; i < width; ++i) value |= std::uint64_t{bytes[i]} << (8 * i);
    return value;
  }

  std::string_view Text(std::uint64_t count) {
    if (count > static_cast<std::uint64_t>(limits_.text)) {
      TooMuch("bytes in one string", limits_.text);
    }
    const auto taken = Take(count);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }

  std::string_view Line() {
    const auto rest = bytes_.subspan(at_, std::min(kMaxNameBytes, bytes_.size() - at_));
    const void* end = std::memchr(rest.data(), '\n', rest.size());
    if (end == nullptr) Corrupt("has a name without an end");
    const auto length = ToSize(static_cast<const std::uint8_t*>(end) - rest.data());
    const auto taken = Take(length + 1);
    return {reinterpret_cast<const char*>(taken.data()), length};
  }

  PickleObject& Make(PickleKind kind) {
    if (static_cast<Index>(pickle_.objects.size()) >= limits_.objects) {
      TooMuch("objects", limits_.objects);
    }
    pickle_.objects.emplace_back().kind = kind;
    return pickle_.objects.back();
  }
  PickleRef Newest() const { return static_cast<PickleRef>(pickle_.objects.size() - 1); }

  void Push(PickleRef ref) {
    if (static_cast<Index>(stack_.size()) >= limits_.stack)
      TooMuch("values on its stack", limits_.stack);
    stack_.push_back(ref);
  }
  void PushNew(PickleKind kind) {
    Make(kind);
    Push(Newest());
  }
  void PushInt(std::int64_t value) {
    Make(PickleKind::kInt).integer = value;
    Push(Newest());
  }
  void PushText(PickleKind kind, std::string_view text) {
    Make(kind).text = text;
    Push(Newest());
  }

  std::size_t Floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleRef Pop() {
    if (stack_.size() <= Floor()) Corrupt("takes a value from an empty stack");
    const PickleRef ref = stack_.back();
    stack_.pop_back();
    return ref;
  }
  PickleRef Top() const {
    if (stack_.size() <= Floor()) Corrupt("looks at a value of an empty stack");
    return stack_.back();
  }
  std::vector<PickleRef> PopMark() {
    if (marks_.empty()) Corrupt("closes a mark that was never set");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleRef> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }

  PickleObject& Object(PickleRef ref) { return pickle_.objects[ref]; }

  void PushItems(PickleKind kind, std::vector<PickleRef> items) {
    if (kind == PickleKind::kDict && items.size() % 2 != 0) Corrupt("has a key without a value");
    Make(kind).items = std::move(items);
    Push(Newest());
  }
  void Append(PickleKind kind, std::span<const PickleRef> items) {
    PickleObject& target = Object(Top());
    if (target.kind != kind) {
      Corrupt("adds members of {} to {}", NameOf(kind), NameOf(target.kind));
    }
    if (kind == PickleKind::kDict && items.size() % 2 != 0) Corrupt("has a key without a value");
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  void PushTuple(std::size_t count) {
    std::vector<PickleRef> items(count);
    for (std::size_t i = count; i > 0; --i) items[i - 1] = Pop();
    PushItems(PickleKind::kTuple, std::move(items));
  }

  void PushName(std::string_view module, std::string_view attribute) {
    if (module.size() + attribute.size() > kMaxNameBytes) TooMuch("bytes in a name", kMaxNameBytes);
    std::string full = fmt::format("{}.{}", module, attribute);
    const auto found = names_.find(full);
    if (found != names_.end()) {
      Push(found->second);
      return;
    }
    if (!known_(full)) {
      throw Error(ErrorCode::kUnsupported,
                  "{}: byte {}: the pickle names '{}', which no tensor needs and which could be "
                  "code; it is refused and nothing was run. Save the weights alone: "
                  "torch.save(model.state_dict(), ...) or safetensors",
                  name_, start_, Printable(full));
    }
    pickle_.names.push_back(full);
    Make(PickleKind::kName).text = pickle_.names.back();
    names_.emplace(std::move(full), Newest());
    Push(Newest());
  }

  std::string_view PopText() {
    const PickleObject& object = Object(Pop());
    if (object.kind != PickleKind::kText) {
      Corrupt("has {} where a name was expected", NameOf(object.kind));
    }
    return object.text;
  }

  // Writes down the call; the containers that are filled later become what they are.
  void PushCall(PickleRef callable, PickleRef arguments) {
    const PickleObject& called = Object(callable);
    const PickleObject& given = Object(arguments);
    if (called.kind != PickleKind::kName) Corrupt("calls {}", NameOf(called.kind));
    if (given.kind != PickleKind::kTuple) {
      Corrupt("calls '{}' with {}, not with a tuple", Printable(called.text), NameOf(given.kind));
    }
    const bool is_list = IsOneOf(called.text, kListNames);
    const bool is_set = IsOneOf(called.text, kSetNames);
    if (IsOneOf(called.text, kDictNames)) {
      // defaultdict's argument is its factory; a list is one of pairs.
      std::vector<PickleRef> items;
      for (const PickleRef argument : given.items) {
        if (Object(argument).kind != PickleKind::kList) continue;
        for (const PickleRef pair : Object(argument).items) {
          if (Object(pair).items.size() != 2 ||
              (Object(pair).kind != PickleKind::kTuple && Object(pair).kind != PickleKind::kList)) {
            Corrupt("makes a dictionary of what are no pairs");
          }
          items.insert(items.end(), Object(pair).items.begin(), Object(pair).items.end());
        }
      }
      CountCopied(items.size());
      PushItems(PickleKind::kDict, std::move(items));
    } else if (is_list || is_set) {
      std::vector<PickleRef> items;
      if (!given.items.empty()) items = Object(given.items.front()).items;
      CountCopied(items.size());
      PushItems(is_list ? PickleKind::kList : PickleKind::kSet, std::move(items));
    } else {
      PushItems(PickleKind::kCall, {callable, arguments});
    }
  }

  // Copies of members are the one thing whose number is not bounded by the bytes read.
  void CountCopied(std::size_t count) {
    copied_ += static_cast<Index>(count);
    if (copied_ > limits_.objects) TooMuch("members copied", limits_.objects);
  }

  // Writers number their memos in order, so a table serves; a hash could be made to collide.
  void Memoize(std::uint64_t slot) {
    if (slot >= static_cast<std::uint64_t>(limits_.objects)) TooMuch("memos", limits_.objects);
    if (slot >= memo_.size()) memo_.resize(ToSize(slot) + 1, kNoPickleRef);
    if (At(memo_, slot) == kNoPickleRef) ++memos_;
    At(memo_, slot) = Top();
  }
  void Recall(std::uint64_t slot) {
    if (slot >= memo_.size() || At(memo_, slot) == kNoPickleRef) {
      Corrupt("recalls memo {}, which was never set", slot);
    }
    Push(At(memo_, slot));
  }

  void PushLong(std::uint64_t count) {
    const std::string_view text = Text(count);
    if (text.size() > 8) {
      PushText(PickleKind::kBigInt, text);
      return;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      value |= std::uint64_t{static_cast<std::uint8_t>(text[i])} << (8 * i);
    }
    if (!text.empty() && text.size() < 8 && (static_cast<std::uint8_t>(text.back()) & 0x80) != 0) {
      value |= ~std::uint64_t{0} << (8 * text.size());
    }
    PushInt(static_cast<std::int64_t>(value));
  }

  // One instruction. Here: those that push a value.
  void Step(std::uint8_t op) {
    switch (op) {
      case kNone:
        return PushNew(PickleKind::kNone);
      case kNewTrue:
      case kNewFalse:
        Make(PickleKind::kBool).integer = op == kNewTrue ? 1 : 0;
        return Push(Newest());
      case kBinInt:
        return PushInt(static_cast<std::int32_t>(static_cast<std::uint32_t>(Number(4))));
      case kBinInt1:
        return PushInt(static_cast<std::int64_t>(Number(1)));
      case kBinInt2:
        return PushInt(static_cast<std::int64_t>(Number(2)));
      case kLong1:
        return PushLong(Number(1));
      case kLong4:
        return PushLong(Number(4));
      case kBinFloat: {
        std::uint64_t bits = 0;
        for (const std::uint8_t byte : Take(8)) bits = (bits << 8) | byte;  // big-endian
        Make(PickleKind::kFloat).real = std::bit_cast<double>(bits);
        return Push(Newest());
      }
      // Python 2 wrote its plain strings (BinString) so; where they hold text they are UTF-8.
      case kShortBinString:
      case kShortBinUnicode:
        return PushText(PickleKind::kText, Text(Number(1)));
      case kBinString:
      case kBinUnicode:
        return PushText(PickleKind::kText, Text(Number(4)));
      case kBinUnicode8:
        return PushText(PickleKind::kText, Text(Number(8)));
      case kShortBinBytes:
        return PushText(PickleKind::kBytes, Text(Number(1)));
      case kBinBytes:
        return PushText(PickleKind::kBytes, Text(Number(4)));
      case kBinBytes8:
      case kByteArray8:
        return PushText(PickleKind::kBytes, Text(Number(8)));
      default:
        return StepContainer(op);
    }
  }

  // Those that make or fill containers.
  void StepContainer(std::uint8_t op) {
    switch (op) {
      case kEmptyTuple:
        return PushNew(PickleKind::kTuple);
      case kTuple1:
        return PushTuple(1);
      case kTuple2:
        return PushTuple(2);
      case kTuple3:
        return PushTuple(3);
      case kTuple:
        return PushItems(PickleKind::kTuple, PopMark());
      case kEmptyList:
        return PushNew(PickleKind::kList);
      case kList:
        return PushItems(PickleKind::kList, PopMark());
      case kAppend: {
        const PickleRef item[] = {Pop()};
        return Append(PickleKind::kList, item);
      }
      case kAppends:
        return Append(PickleKind::kList, PopMark());
      case kEmptyDict:
        return PushNew(PickleKind::kDict);
      case kDict:
        return PushItems(PickleKind::kDict, PopMark());
      case kSetItem: {
        const PickleRef value = Pop();
        const PickleRef pair[] = {Pop(), value};
        return Append(PickleKind::kDict, pair);
      }
      case kSetItems:
        return Append(PickleKind::kDict, PopMark());
      case kEmptySet:
        return PushNew(PickleKind::kSet);
      case kFrozenSet:
        return PushItems(PickleKind::kSet, PopMark());
      case kAddItems:
        return Append(PickleKind::kSet, PopMark());
      default:
        return StepObject(op);
    }
  }

  // Names, calls and storages.
  void StepObject(std::uint8_t op) {
    switch (op) {
      case kGlobal: {
        const std::string_view module = Line();
        return PushName(module, Line());
      }
      case kStackGlobal: {
        const std::string_view attribute = PopText();
        return PushName(PopText(), attribute);
      }
      case kNewObjEx:
        Pop();  // named arguments, which nothing that is read needs
        [[fallthrough]];
      case kReduce:
      case kNewObj: {
        const PickleRef arguments = Pop();
        return PushCall(Pop(), arguments);
      }
      case kBuild: {
        const PickleRef state = Pop();
        PickleObject& target = Object(Top());
        if (target.kind != PickleKind::kCall && target.kind != PickleKind::kDict) {
          Corrupt("gives {} a state", NameOf(target.kind));
        }
        target.state = state;
        return;
      }
      case kBinPersId: {
        const PickleRef id = Pop();
        return PushItems(PickleKind::kPersistent, {id});
      }
      default:
        return StepMachine(op);
    }
  }

  // Those that change the machine alone: its stack, marks and memo.
  void StepMachine(std::uint8_t op) {
    switch (op) {
      case kProto:
        if (const std::uint64_t protocol = Number(1); protocol > kMaxProtocol) {
          throw Error(ErrorCode::kUnsupported, "{}: pickle protocol {}; 2 to {} are read", name_,
                      protocol, kMaxProtocol);
        }
        return;
      case kFrame:
        if (const std::uint64_t size = Number(8); size > bytes_.size() - at_) {
          Corrupt("has a frame of {} bytes and {} are left", size, bytes_.size() - at_);
        }
        return;
      case kMark:
        if (static_cast<Index>(marks_.size()) >= limits_.depth) {
          TooMuch("nested values", limits_.depth);
        }
        return marks_.push_back(stack_.size());
      case kPop:
        if (stack_.size() == Floor() && !marks_.empty()) return marks_.pop_back();
        Pop();
        return;
      case kPopMark:
        PopMark();
        return;
      case kDup:
        return Push(Top());
      case kBinPut:
        return Memoize(Number(1));
      case kLongBinPut:
        return Memoize(Number(4));
      case kMemoize:
        return Memoize(memos_);
      case kBinGet:
        return Recall(Number(1));
      case kLongBinGet:
        return Recall(Number(4));
      default:
        throw Error(ErrorCode::kUnsupported,
                    "{}: byte {}: opcode 0x{:02x} is not among those that protocols 2 to {} write "
                    "for tensors; save the weights again with torch.save",
                    name_, start_, op, kMaxProtocol);
    }
  }

  std::span<const std::uint8_t> bytes_;
  const std::string& name_;
  const std::function<bool(std::string_view)>& known_;
  const PickleLimits limits_;
  std::size_t at_ = 0;
  std::size_t start_ = 0;  // of the instruction at work
  Index copied_ = 0;
  Pickle pickle_;
  std::vector<PickleRef> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::vector<PickleRef> memo_;
  std::uint64_t memos_ = 0;  // slots of the memo that are set
  std::unordered_map<std::string, PickleRef> names_;
};

}  // namespace

const char* NameOf(PickleKind kind) {
  constexpr const char* kNames[] = {
      "None",         "a truth value", "a whole number", "a whole number", "a number",
      "a string",     "bytes",         "a tuple",        "a list",         "a set",
      "a dictionary", "a name",        "an object",      "a storage"};
  return kNames[static_cast<std::size_t>(kind)];
}

Pickle ReadPickle(std::span<const std::uint8_t> bytes, const std::string& name,
                  const std::function<bool(std::string_view)>& known, const PickleLimits& limits) {
  return Machine(bytes, name, known, limits).Run();
}

}  // namespace cliplens
