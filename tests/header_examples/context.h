// What the examples at the heads of the headers take for granted: compiled, never linked
// (tools/header_examples.py). What one example alone needs is in FOLDER_NAME.inc beside this file.
#pragma once

#include "cliplens/cliplens.h"

namespace cliplens {

// What a caller does with a result.
template <typename... T>
void Print(const T&... values);
template <typename... T>
void Use(const T&... values);

extern const int threads;
extern const ClipModel& model;
extern const Store& store;
extern const Image& picture;
extern const TextPool& pool;
extern const std::vector<HeadId>& heads;
extern const Array<float, 2>& texts;       // unit rows [M, E]
extern const Array<float, 2>& classifier;  // [C, E]
extern const std::vector<Index>& labels;   // of the store's pictures
extern const std::vector<Index>& numbers;  // of pictures

}  // namespace cliplens
