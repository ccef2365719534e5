// A FAISS index of a store's pictures in one search space, with the file that says what it holds.
//
// INDEX is FAISS's own IndexFlatIP of the vectors of SearchVectors, one for each item of the store
// in order; `INDEX.json` names the store, the heads, the measure, the sizes and the checksum.
//
//   OutputFiles files(SearchIndexFiles("heads.faiss"));
//   WriteSearchIndex("heads.faiss", files, store, {.heads = heads}, threads);
//   files.Commit();
//   const SearchIndex index = ReadSearchIndex("heads.faiss", store);
//   const std::vector<float> query = SearchVectors(store, index.space).OfItem(12);
//   for (const ScoredItem& found : Search(index, query, {.count = 10})) Print(found.item);
#pragma once

#include <filesystem>

#include "cliplens/analysis/search.h"
#include "cliplens/base/progress.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/flat_index.h"
#include "cliplens/io/output_files.h"

namespace cliplens {

struct SearchIndex {
  SearchSpace space;
  FlatIndex vectors;
};

// INDEX and INDEX.json.
std::vector<std::filesystem::path> SearchIndexFiles(const std::filesystem::path& path);

// Writes both to `files`, which are those of SearchIndexFiles. Memory: the vectors.
void WriteSearchIndex(const std::filesystem::path& path, OutputFiles& files, const Store& store,
                      const SearchSpace& space, int threads, const ProgressSink& progress = {});

// Throws Error(kNotFound) when INDEX or INDEX.json is missing, Error(kCorruptData) for files that
// do not hold what INDEX.json says, Error(kInvalidArgument) for an index of another store.
SearchIndex ReadSearchIndex(const std::filesystem::path& path, const Store& store);

// As cliplens::Search with one term, up to the rounding of scores in fp32.
std::vector<ScoredItem> Search(const SearchIndex& index, std::span<const float> query,
                               const SearchOptions& options);

}  // namespace cliplens
