#include "cliplens/model/character_pairs.h"

#include <algorithm>
#include <span>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/printable.h"

namespace cliplens {

CharacterPairs::CharacterPairs(const Vocabulary& vocabulary, const CharacterPairRule& rule)
    : rule_(rule),
      unknown_(vocabulary.unknown.value_or(-1)),
      merges_(vocabulary.merges.size(), MergeOrder::kOneByOne) {
  for (const auto& [token, id] : vocabulary.ids) {
    if (!token.empty() && Utf8SequenceLength(token) == token.size()) characters_.emplace(token, id);
  }
  if (rule.ignore_merges) whole_ = vocabulary.ids;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto found = vocabulary.ids.find(fmt::format("<0x{:02X}>", byte));
    bytes_[byte] = found == vocabulary.ids.end() ? -1 : found->second;
  }
  std::int32_t rank = 0;
  for (const auto& [left, right] : vocabulary.merges) {
    merges_.Insert(vocabulary.ids.at(left), vocabulary.ids.at(right),
                   {.rank = rank++, .symbol = vocabulary.ids.at(left + right)});
  }
}

void CharacterPairs::Encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  if (rule_.ignore_merges) {
    const auto found = whole_.find(std::string(text));
    if (found != whole_.end()) return ids.push_back(found->second);
  }
  thread_local std::vector<std::int32_t> symbols;
  symbols.clear();
  // An unknown token stands behind bytes that follow it, as in the reference: it is put down when
  // a character has a token, or at the end.
  bool pending = false;
  const auto put_pending = [&] {
    if (pending) symbols.push_back(unknown_);
    pending = false;
  };
  std::string character;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(Utf8SequenceLength(text), 1);
    character.assign(text.substr(0, length));
    text.remove_prefix(length);
    const auto found = characters_.find(character);
    if (found != characters_.end()) {
      put_pending();
      symbols.push_back(found->second);
      continue;
    }
    const auto id_of = [&](char c) { return bytes_[static_cast<unsigned char>(c)]; };
    if (rule_.byte_fallback &&
        std::all_of(character.begin(), character.end(), [&](char c) { return id_of(c) >= 0; })) {
      for (const char c : character) symbols.push_back(id_of(c));
      continue;
    }
    if (unknown_ < 0) continue;
    if (!rule_.fuse_unknown) put_pending();
    pending = true;
  }
  put_pending();
  if (symbols.size() > ToSize(PairMerges::kNoRank)) {
    throw Error(ErrorCode::kExhausted, "a word of {} symbols is longer than the limit of {}",
                symbols.size(), PairMerges::kNoRank);
  }
  const std::size_t count = merges_.Apply(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace cliplens
