#include "cliplens/report/json.h"

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/report/table.h"

namespace cliplens {

Json ModelJson(const StoreInfo& store) { return ModelJson(store.model_name, store.fingerprint); }

Json ModelJson(const std::string& name, const std::string& fingerprint) {
  return {{"name", name}, {"fingerprint", fingerprint}};
}

Json DataJson(const StoreInfo& store) {
  Json sources = Json::array();
  for (const DataSource& source : store.data) {
    sources.push_back({{"kind", source.kind}, {"root", source.root}, {"images", source.images}});
  }
  return sources;
}

Json CertificateJson(const CertificateSummary& certificate) {
  return {{"max", certificate.max}, {"mean", certificate.mean}};
}

Json EstimateJson(const Estimate& estimate) {
  return {{"value", estimate.value}, {"low", estimate.low}, {"high", estimate.high}};
}

Json HeadNamesJson(const std::vector<HeadId>& heads) {
  Json names = Json::array();
  for (const HeadId head : heads) names.push_back(HeadName(head));
  return names;
}

Json PoolJson(const std::string& name, Index texts, Index blank) {
  Json json = {{"name", name}, {"texts", texts}};
  if (blank > 0) json["blank"] = blank;
  return json;
}

Json PoolJson(const TextPool& pool) {
  return PoolJson(pool.name, std::ssize(pool.texts), pool.blank);
}

Json SpanJson(const StoreInfo& store, const TextPool& pool, const std::vector<HeadId>& heads,
              const std::vector<TextSpanResult>& spans, const std::vector<ComponentShare>& shares,
              const std::vector<std::vector<double>>& held_out) {
  if (heads.size() != spans.size() || (!held_out.empty() && held_out.size() != heads.size())) {
    throw Error(ErrorCode::kInvalidArgument, "span: {} heads, but results for {}", heads.size(),
                spans.size());
  }
  Json result = {{"format", "cliplens.span/1"}, {"model", ModelJson(store)},
                 {"data", DataJson(store)},     {"images", store.images},
                 {"pool", PoolJson(pool)},      {"heads", Json::array()}};
  for (std::size_t h = 0; h < heads.size(); ++h) {
    const ComponentShare& share = ShareOfHead(shares, heads[h]);
    Json head = {{"head", HeadName(heads[h])},    {"rank", spans[h].rank},
                 {"variance_share", share.share}, {"variance_share_spread", share.spread},
                 {"variance", spans[h].variance}, {"texts", Json::array()}};
    for (const SpanText& text : spans[h].texts) {
      const auto index = ToSize(text.index);
      if (text.index < 0 || index >= pool.texts.size()) {
        throw Error(ErrorCode::kInvalidArgument, "span: text {} of head {}; {} has {} texts",
                    text.index, HeadName(heads[h]), pool.name, pool.texts.size());
      }
      Json row = {{"text", pool.texts[index]}};
      if (index < pool.properties.size() && pool.properties[index]) {
        row["property"] = *pool.properties[index];
      }
      row["index"] = text.index;
      row["share"] = text.share;
      row["cumulative"] = text.cumulative;
      const std::size_t number = head["texts"].size();
      if (!held_out.empty() && number < held_out[h].size()) row["held_out"] = held_out[h][number];
      head["texts"].push_back(std::move(row));
    }
    result["heads"].push_back(std::move(head));
  }
  return result;
}

void PutPoolMlpShare(Json& json, const std::vector<ComponentShare>& shares) {
  if (const ComponentShare* pool = ShareOfPoolMlp(shares)) json["pool_mlp_share"] = pool->share;
}

std::string PoolMlpLine(const std::vector<ComponentShare>& shares) {
  const ComponentShare* pool = ShareOfPoolMlp(shares);
  if (pool == nullptr) return {};
  return fmt::format(
      "POOL.MLP, the MLP behind the pool, brings {} of the embedding's variance: one component, "
      "which is not split over heads\n",
      FormatPercent(pool->share));
}

Json ComponentsJson(const std::vector<ComponentShare>& shares) {
  Json components = Json::array();
  for (const ComponentShare& share : shares) {
    components.push_back({{"component", share.component},
                          {"share", share.share},
                          {"spread", share.spread},
                          {"variance", share.variance}});
  }
  return components;
}

void PutOriented(Json& json, Index count) {
  if (count > 0) json["oriented"] = count;
}

void PutLosses(Json& json, Index oriented, const std::vector<SkippedPicture>& skipped,
               const std::vector<SkippedPicture>& incomplete, const LeftOut& left_out) {
  const auto put = [&](const char* name, const auto& problems) {
    for (const auto& problem : problems) {
      json[name].push_back({{"path", problem.path}, {"message", problem.message}});
    }
  };
  PutOriented(json, oriented);
  put("skipped", skipped);
  put("incomplete", incomplete);
  for (const auto& [kind, files] : left_out.passed_over) {
    json["passed_over"].push_back({{"kind", kind}, {"files", files}});
  }
  put("unread", left_out.unread);
}

}  // namespace cliplens
