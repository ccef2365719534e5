// Results as JSON, as docs/json.md describes them.
//
//   const Estimate accuracy = {.value = 0.9, .low = 0.88, .high = 0.92};
//   Print(DumpJson(ModelJson(store.info())), DumpJson(EstimateJson(accuracy)));
#pragma once

#include <string>
#include <vector>

#include "cliplens/analysis/text_span.h"
#include "cliplens/analysis/variance.h"
#include "cliplens/base/bootstrap.h"
#include "cliplens/base/component.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/decompose/store.h"
#include "cliplens/io/json.h"

namespace cliplens {

// The members "model" and "data" of every result on a store.
Json ModelJson(const StoreInfo& store);
Json ModelJson(const std::string& name, const std::string& fingerprint);
Json DataJson(const StoreInfo& store);

// {"max", "mean"}: how far sums are from embeddings.
Json CertificateJson(const CertificateSummary& certificate);

// Every estimate is written as {"value", "low", "high"}.
Json EstimateJson(const Estimate& estimate);

// The names of heads.
Json HeadNamesJson(const std::vector<HeadId>& heads);

// {"name", "texts"} of a pool of texts, and "blank", the blank lines of its file, unless there are
// none.
Json PoolJson(const std::string& name, Index texts, Index blank);
Json PoolJson(const TextPool& pool);

// "cliplens.span/1". heads[i] goes with spans[i]; shares are those of all components.
// held_out[i], where they are given, are its HeldOutShares; they may be empty.
// Throws Error(kInvalidArgument) where their lengths differ or a head has no share.
Json SpanJson(const StoreInfo& store, const TextPool& pool, const std::vector<HeadId>& heads,
              const std::vector<TextSpanResult>& spans, const std::vector<ComponentShare>& shares,
              const std::vector<std::vector<double>>& held_out = {});

// What POOL.MLP brings: "pool_mlp_share", and a line for people. Nothing without a POOL.MLP.
void PutPoolMlpShare(Json& json, const std::vector<ComponentShare>& shares);
std::string PoolMlpLine(const std::vector<ComponentShare>& shares);

// The list "components" of "cliplens.report/1": shares of the embedding's variance.
Json ComponentsJson(const std::vector<ComponentShare>& shares);

// "oriented": how many pictures carry an EXIF orientation that was left alone, unless none does.
void PutOriented(Json& json, Index count);

// What did not go into a result on pictures, where anything did not: "oriented", the lists
// "skipped" and "incomplete" ([{"path", "message"}]), and of the set "passed_over" and "unread".
void PutLosses(Json& json, Index oriented, const std::vector<SkippedPicture>& skipped,
               const std::vector<SkippedPicture>& incomplete, const LeftOut& left_out);

}  // namespace cliplens
