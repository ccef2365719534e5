// Words of heads from their weights as a table, JSON (docs/json.md) and CSV.
//
//   const WeightWords words = DescribeWeights(model, {.texts = "phrases.txt"}, {});
//   Print(WeightTable(words));
#pragma once

#include <string>

#include "cliplens/app/weight_words.h"
#include "cliplens/io/json.h"

namespace cliplens {

// {"cosine", "texts": [{"text", "property", "index", "weight", "cosine"}]}; the property is absent
// where the pool gives none.
Json SparseWordsJson(const SparseWords& words, const TextPool& pool);

std::string WeightTable(const WeightWords& report);
// "cliplens.weights/1".
Json WeightJson(const WeightWords& report);
// A row for each text of each direction.
std::string WeightCsv(const WeightWords& report);

}  // namespace cliplens
