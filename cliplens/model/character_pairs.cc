#include "cliplens/model/character_pairs.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "cliplens/base/error.h"
#include "cliplens/base/index.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

std::string LastCharacter(const std::string& token) {
  std::size_t begin = token.size();
  while (begin > 0 && (static_cast<unsigned char>(token[--begin]) & 0xC0) == 0x80) {
  }
  return token.substr(begin);
}

// Whether a token is "<0x41>".
bool IsSymbol(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

}  // namespace

CharacterPairs::CharacterPairs(const Vocabulary& vocabulary, const CharacterPairRule& rule)
    : rule_(rule),
      unknown_(vocabulary.unknown.value_or(-1)),
      merges_(vocabulary.merges.size(), MergeOrder::kOneByOne),
      joints_(vocabulary.merges.size(), MergeOrder::kOneByOne) {
  ascii_.fill(-1);
  for (const auto& [token, id] : vocabulary.ids) {
    if (token.empty() || Utf8SequenceLength(token) != token.size()) continue;
    characters_.emplace(token, id);
    if (token.size() == 1) ascii_[static_cast<unsigned char>(token[0])] = id;
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
    const auto last = characters_.find(LastCharacter(left));
    const auto first = characters_.find(right.substr(0, Utf8SequenceLength(right)));
    // Tokens that stand for bytes or the unknown are no sequences of characters.
    if (last == characters_.end() || first == characters_.end() || IsSymbol(left) ||
        IsSymbol(right) || vocabulary.ids.at(left) == unknown_ ||
        vocabulary.ids.at(right) == unknown_) {
      cuts_ = false;
    } else {
      joints_.Insert(last->second, first->second, {.rank = 0, .symbol = 0});
    }
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
    std::int32_t known = -1;
    if (length == 1) {
      const auto byte = static_cast<unsigned char>(text[0]);
      known = byte < ascii_.size() ? ascii_[byte] : -1;
    }
    character.assign(text.substr(0, length));
    if (length > 1) {
      const auto found = characters_.find(character);
      if (found != characters_.end()) known = found->second;
    }
    text.remove_prefix(length);
    if (known >= 0) {
      put_pending();
      symbols.push_back(known);
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
  for (std::size_t begin = 0; begin < symbols.size();) {
    std::size_t end = begin + 1;
    while (end < symbols.size() && (!cuts_ || joints_.Has(symbols[end - 1], symbols[end]))) ++end;
    const std::span part = std::span(symbols).subspan(begin, end - begin);
    const std::size_t count = merges_.Apply(part);
    ids.insert(ids.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
    begin = end;
  }
}

}  // namespace cliplens
