// Python's pickle, read without running anything.
//
//   const auto known = [](std::string_view name) { return name == "collections.OrderedDict"; };
//   const Pickle pickle = ReadPickle(bytes, "a.pt: data.pkl", known);
//   const PickleObject& root = pickle[pickle.root];
//   Print(NameOf(root.kind), root.items.size());
//
// A pickle is a program for a small stack machine that may name and call any function. This reader
// builds a table of plain records. A call becomes a record of the function's name and its
// arguments; nothing is ever called. `known` decides which names a pickle may use; the error quotes
// any other. The reader knows the opcodes that protocols 2 to 5 write.
//
// Time and memory are linear in the length of the pickle, and bounded: see PickleLimits.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

enum class PickleKind : std::uint8_t {
  kNone,
  kBool,        // integer: 0 or 1
  kInt,         // integer
  kBigInt,      // text: two's complement, little-endian, more than 8 bytes
  kFloat,       // real
  kText,        // text: UTF-8, unchecked
  kBytes,       // text
  kTuple,       // items
  kList,        // items
  kSet,         // items
  kDict,        // items: key, value, key, value, ...; state: attributes of an OrderedDict
  kName,        // text: "torch._utils._rebuild_tensor_v2"
  kCall,        // items: what is called, its arguments (a tuple); state: what BUILD gave
  kPersistent,  // items: the persistent id, for torch a tuple that describes a storage
};
const char* NameOf(PickleKind kind);  // "a tuple"

using PickleRef = std::uint32_t;
inline constexpr PickleRef kNoPickleRef = 0xFFFFFFFF;

struct PickleObject {
  PickleKind kind = PickleKind::kNone;
  PickleRef state = kNoPickleRef;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text;  // in the bytes that were read, or in Pickle::names
  std::vector<PickleRef> items;
};

// A pickle's objects. They may form cycles, and an object may be shared, so code that walks them
// must bound its depth and its number of steps. The bytes must outlive the pickle.
struct Pickle {
  std::deque<PickleObject> objects;
  std::deque<std::string> names;
  PickleRef root = kNoPickleRef;
  std::size_t size = 0;  // bytes up to and with STOP

  const PickleObject& operator[](PickleRef ref) const { return objects[ref]; }
};

struct PickleLimits {
  Index objects = 4'000'000;     // also bounds the memo, which holds references to them
  Index stack = 1'000'000;       // values waiting, marks included
  Index depth = 1'000;           // marks open at once
  Index text = Index{64} << 20;  // bytes of one string
};

// Reads one pickle from the start of `bytes`; more may follow. `name` stands in the messages.
// Throws Error(kUnsupported) for a name that is not `known` and for an opcode or protocol that is
// not read, Error(kCorruptData) for a program that contradicts itself or has no end,
// Error(kExhausted) beyond the limits.
Pickle ReadPickle(std::span<const std::uint8_t> bytes, const std::string& name,
                  const std::function<bool(std::string_view)>& known,
                  const PickleLimits& limits = {});

}  // namespace cliplens
