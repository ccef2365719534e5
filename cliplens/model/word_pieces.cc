#include "cliplens/model/word_pieces.h"

#include <algorithm>
#include <utility>

#include "cliplens/base/index.h"
#include "cliplens/io/printable.h"

namespace cliplens {

WordPieces::WordPieces(WordPieceVocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
  std::vector<std::pair<std::string_view, std::int32_t>> first;
  std::vector<std::pair<std::string_view, std::int32_t>> next;
  first.reserve(vocabulary_.ids.size());
  next.reserve(vocabulary_.ids.size());
  for (const auto& [token, id] : vocabulary_.ids) {
    first.emplace_back(token, id);
    if (token.starts_with(vocabulary_.prefix)) {
      next.emplace_back(std::string_view(token).substr(vocabulary_.prefix.size()), id);
    }
  }
  first_ = PieceTrie(std::move(first));
  next_ = PieceTrie(std::move(next));
}

void WordPieces::Encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  const auto begins_character = [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  };
  const auto characters = std::count_if(word.begin(), word.end(), begins_character);
  if (ToSize(characters) > vocabulary_.longest_word) return ids.push_back(vocabulary_.unknown);
  const std::size_t before = ids.size();
  for (std::size_t begin = 0; begin < word.size();) {
    std::size_t length = 0;
    std::int32_t id = 0;
    const PieceTrie& pieces = begin == 0 ? first_ : next_;
    pieces.ForPrefixes(word.substr(begin), [&](std::size_t size, std::int32_t value) {
      length = size;
      id = value;
    });
    if (length == 0) {
      ids.resize(before);
      return ids.push_back(vocabulary_.unknown);
    }
    ids.push_back(id);
    begin += length;
  }
}

}  // namespace cliplens
