// What was done to a store, as JSON (docs/json.md).
//
//   Print(DumpJson(VerifyJson("store/", VerifyStore("store/", {}), {})));
#pragma once

#include <string>
#include <vector>

#include "cliplens/app/search_index.h"
#include "cliplens/decompose/decompose.h"
#include "cliplens/decompose/manifest.h"
#include "cliplens/decompose/store.h"
#include "cliplens/decompose/verify.h"
#include "cliplens/io/json.h"
#include "cliplens/model/clip.h"
#include "cliplens/report/html_report.h"

namespace cliplens {

// "cliplens.decompose/1" of a run of `seconds` that wrote `out`. Of `shares` it says that of
// POOL.MLP; they may be empty.
Json DecomposeJson(const ClipModel& model, const DecomposeResult& result, const LeftOut& left_out,
                   const std::vector<ComponentShare>& shares, double seconds,
                   const std::string& out);
// "cliplens.merge/1" of `stores` stores.
Json MergeJson(const Manifest& merged, Index stores, const std::string& out);
// "cliplens.verify/1".
Json VerifyJson(const std::string& store, const std::vector<Problem>& problems,
                const std::vector<std::string>& strays);

// "cliplens.export/1" of arrays, edited by the file `edit` unless that is empty.
Json ExportJson(const Store& store, const std::string& out, const std::string& edit);
// The same of an index; `in` is its space as people read it.
Json IndexJson(const SearchIndex& index, const std::string& out, const std::string& in);

// "cliplens.report/1" of a page of `bytes` bytes that was written to `out`.
Json ReportJson(const ReportInput& input, Index bytes, const std::string& out);

// What `cliplens demo` made.
struct DemoReport {
  std::string model_name;
  DecomposeResult decompose;
  Index heads = 0;
  Index texts = 0;
  double seconds = 0;
  std::string page;  // the report
};
Json DemoJson(const DemoReport& report);  // "cliplens.demo/1"

}  // namespace cliplens
