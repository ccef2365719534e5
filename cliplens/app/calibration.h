// What the confidence of labels was fitted on (bench/truth/calibrate.py), and what of a run lies
// outside of it.
//
//   const TextPool table = ReadTextPool("properties.txt");
//   for (const std::string& reason : WhyUncalibrated(store.info(), store.basis(), 12, table)) {
//     Print(reason);
//   }
#pragma once

#include <string>
#include <vector>

#include "cliplens/base/array.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/decompose/store_info.h"

namespace cliplens {

// Each reason is a clause that names what is missing; none where the confidence is calibrated.
//   images: pictures that heads are labelled on
std::vector<std::string> WhyUncalibrated(const StoreInfo& store, const Basis& basis, Index images,
                                         const TextPool& table);

}  // namespace cliplens
