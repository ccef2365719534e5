#include "cliplens/model/byte_pairs.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <unordered_map>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"

namespace cliplens {
namespace {

constexpr std::int32_t kNoId = -1;

// Symbols of words up to this length lie on the stack.
constexpr std::size_t kShortWord = 64;

}  // namespace

BytePairs::BytePairs(const Vocabulary& vocabulary, MergeOrder order)
    : merges_(vocabulary.merges.size(), order), name_(vocabulary.name) {
  std::unordered_map<std::string, std::int32_t> symbol_of;
  symbol_of.reserve(vocabulary.ids.size());
  const auto intern = [&](const std::string& token) {
    const auto [place, added] = symbol_of.emplace(token, static_cast<std::int32_t>(id_of_.size()));
    if (added) {
      const auto id = vocabulary.ids.find(token);
      id_of_.push_back(id != vocabulary.ids.end() ? id->second
                                                  : vocabulary.unknown.value_or(kNoId));
    }
    return place->second;
  };
  for (const std::string_view suffix : {std::string_view(), kWordEnd}) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      intern(ByteName(static_cast<unsigned char>(byte)) + std::string(suffix));
    }
  }
  std::int32_t rank = 0;
  for (const auto& [left, right] : vocabulary.merges) {
    const std::int32_t left_symbol = intern(left);
    const std::int32_t right_symbol = intern(right);
    merges_.Insert(left_symbol, right_symbol, {rank++, intern(left + right)});
  }
}

void BytePairs::Encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (word.empty()) return;
  std::array<std::int32_t, kShortWord> short_word;
  std::vector<std::int32_t> long_word;
  std::span<std::int32_t> symbols(short_word.data(), std::min(word.size(), kShortWord));
  if (word.size() > kShortWord) {
    if (word.size() > ToSize(PairMerges::kNoRank)) {
      throw Error(ErrorCode::kExhausted, "a word of {} bytes is longer than the limit of {}",
                  word.size(), PairMerges::kNoRank);
    }
    long_word.resize(word.size());
    symbols = long_word;
  }
  for (std::size_t i = 0; i < word.size(); ++i) symbols[i] = static_cast<unsigned char>(word[i]);
  symbols.back() += 256;
  for (const std::int32_t symbol : symbols.first(merges_.Apply(symbols))) {
    const std::int32_t id = At(id_of_, symbol);
    if (id == kNoId) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: no token for the byte 0x{:02X}{}; the text cannot be written in this "
                  "vocabulary",
                  name_, symbol & 0xFF, symbol >= 256 ? " at the end of a word" : "");
    }
    ids.push_back(id);
  }
}

}  // namespace cliplens
