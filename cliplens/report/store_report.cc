#include "cliplens/report/store_report.h"

#include "cliplens/report/json.h"

namespace cliplens {

Json DecomposeJson(const ClipModel& model, const DecomposeResult& result, const LeftOut& left_out,
                   const std::vector<ComponentShare>& shares, double seconds,
                   const std::string& out) {
  Json json = {{"format", "cliplens.decompose/1"},
               {"model", model.name()},
               {"fingerprint", model.fingerprint()},
               {"precision", NameOf(model.precision())},
               {"level", NameOf(model.image_readout().components().level())},
               {"images", result.images},
               {"shards", result.shards},
               {"resumed_shards", result.resumed_ranges},
               {"complete_already", result.complete_already},
               {"certificate", CertificateJson(result.certificate)},
               {"seconds", seconds},
               {"out", out}};
  PutPoolMlpShare(json, shares);
  PutLosses(json, result.oriented, result.skipped, result.incomplete, left_out);
  return json;
}

Json MergeJson(const Manifest& merged, Index stores, const std::string& out) {
  return {{"format", "cliplens.merge/1"},
          {"stores", stores},
          {"images", merged.info.images},
          {"shards", merged.shards.size()},
          {"out", out}};
}

Json VerifyJson(const std::string& store, const std::vector<Problem>& problems,
                const std::vector<std::string>& strays) {
  Json json = {{"format", "cliplens.verify/1"}, {"store", store}, {"whole", problems.empty()}};
  for (const Problem& problem : problems) {
    json["problems"].push_back({{"code", InfoOf(problem.code).name},
                                {"file", problem.file},
                                {"message", problem.message}});
  }
  if (!strays.empty()) json["strays"] = strays;
  return json;
}

Json ExportJson(const Store& store, const std::string& out, const std::string& edit) {
  const Basis& b = store.basis();
  const Index n = store.info().images;
  Json arrays = {{"attn", {n, b.layers(), b.num_heads(), b.embed_width()}},
                 {"mlp", {n, b.components().num_residual(), b.embed_width()}},
                 {"embedding", {n, b.embed_width()}}};
  if (edit.empty()) arrays["cls_attn"] = {n, b.layers(), b.embed_width()};
  Json json = {
      {"format", "cliplens.export/1"}, {"images", n}, {"out", out}, {"arrays", std::move(arrays)}};
  if (!edit.empty()) json["edit"] = edit;
  return json;
}

Json IndexJson(const SearchIndex& index, const std::string& out, const std::string& in) {
  return {{"format", "cliplens.export/1"},
          {"images", index.vectors.rows()},
          {"out", out},
          {"width", index.vectors.width()},
          {"in", in},
          {"definition", NameOf(index.space.definition)},
          {"measure", NameOf(index.space.measure)}};
}

Json ReportJson(const ReportInput& input, Index bytes, const std::string& out) {
  Json json = {{"format", "cliplens.report/1"},
               {"heads", input.heads.size()},
               {"images", input.store.images},
               {"components", ComponentsJson(input.shares)},
               {"bytes", bytes},
               {"pictures", input.thumbnails.asked - input.thumbnails.missing},
               {"pictures_missing", input.thumbnails.missing},
               {"out", out}};
  if (const auto& neurons = input.extras.neurons) {
    json["neurons"] = {{"shown", neurons->shown.size()},
                       {"images", neurons->store.images},
                       {"maps", neurons->maps},
                       {"maps_missing", neurons->missing}};
  }
  return json;
}

Json DemoJson(const DemoReport& report) {
  return {{"format", "cliplens.demo/1"},
          {"model", report.model_name},
          {"images", report.decompose.images},
          {"heads", report.heads},
          {"texts", report.texts},
          {"certificate", CertificateJson(report.decompose.certificate)},
          {"seconds", report.seconds},
          {"report", report.page}};
}

}  // namespace cliplens
