#include "cliplens/io/hdf5.h"

#include <fstream>
#include <iterator>
#include <string>

#include "tests/expect_error.h"
#include "tests/hdf5_builder.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

using Values = std::vector<std::uint8_t>;

TEST(Hdf5Test, FollowsReferencesToBytes) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a.mat";
  for (const bool packed : {false, true}) {
    WriteSegmentationFile(path, packed);
    const Hdf5File file(path);
    const auto pictures = file.ReadReferences("/value/img", 10);
    ASSERT_EQ(pictures.size(), 2U);
    const Hdf5Bytes picture = file.ReadBytes(pictures[0], 100);
    EXPECT_EQ(picture.shape, (std::vector<Index>{3, 3, 2}));
    EXPECT_EQ(picture.values[0], 0);
    EXPECT_EQ(picture.values[2], 10);
    EXPECT_EQ(picture.values[17], 101);
    const auto masks = file.ReadReferences("/value/gt", 10);
    const auto cell = file.ReadReferences(masks[1], 10);
    EXPECT_EQ(file.ReadBytes(cell[0], 10).values, (Values{1, 0, 1, 0}));
  }
}

TEST(Hdf5Test, NumbersOfOtherTypesBecomeBytes) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a.mat";
  {
    Hdf5Builder builder(path);
    const std::array<double, 3> values = {0, 1, 300};
    const hobj_ref_t reference = builder.Write("/d", {3}, H5T_NATIVE_DOUBLE, values.data(), {});
    builder.References("/value/img", {1}, {reference});
  }
  const Hdf5File file(path);
  EXPECT_EQ(file.ReadBytes(file.ReadReferences("/value/img", 1)[0], 3).values, (Values{0, 1, 255}));
}

// One way to be wrong each; the library reads the rest.
TEST(Hdf5Test, RefusesWhatIsWrong) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a.mat";
  const auto open = [&] { return std::make_unique<Hdf5File>(path); };
  const auto first = [&] {
    const Hdf5File file(path);
    return file.ReadBytes(file.ReadReferences("/value/img", 10).at(0), 1000);
  };
  directory.Write("a.mat", "not a file of that kind");
  ExpectError(ErrorCode::kUnsupported, "a.mat: is no HDF5 file; a MATLAB file of version 7.3",
              [&] { open(); });
  directory.Write("a.mat", "MATLAB 5.0 MAT-file" + std::string(1000, ' '));
  ExpectError(ErrorCode::kUnsupported, "is no HDF5 file but a MATLAB file of version 5",
              [&] { open(); });
  directory.Write("a.mat", "");
  ExpectError(ErrorCode::kUnsupported, "is no HDF5 file", [&] { open(); });
  directory.Write("a.mat", "\x89HDF\r\n\x1a\n" + std::string(100, '\x55'));
  ExpectError(ErrorCode::kCorruptData, "cannot be opened", [&] { open(); });
  std::filesystem::remove(path);
  ExpectError(ErrorCode::kNotFound, "a.mat", [&] { open(); });

  { Hdf5Builder builder(path); }
  ExpectError(ErrorCode::kNotFound, "has no /value/img (looked for /value/img)", [&] { first(); });
  {
    Hdf5Builder builder(path);
    builder.Group("/value/img");
  }
  ExpectError(ErrorCode::kCorruptData, "/value/img: is no data set that can be opened",
              [&] { first(); });
  {
    Hdf5Builder builder(path);
    builder.Bytes("/value/img", {3}, {1, 2, 3});
  }
  ExpectError(ErrorCode::kCorruptData, "/value/img: holds no references", [&] { first(); });
  {
    Hdf5Builder builder(path);
    builder.References("/value/img", {11}, std::vector<hobj_ref_t>(11));
  }
  ExpectError(ErrorCode::kExhausted, "claims 11 values along axis 0, at most 10", [&] { first(); });
  for (const hobj_ref_t nowhere :
       {hobj_ref_t{0}, hobj_ref_t{7}, hobj_ref_t{1} << 40, ~hobj_ref_t{0}}) {
    {
      Hdf5Builder builder(path);
      builder.References("/value/img", {1}, {nowhere});
    }
    ExpectError(ErrorCode::kCorruptData, "the reference to byte", [&] { first(); });
  }
  {
    Hdf5Builder builder(path);
    hobj_ref_t group = 0;
    H5Rcreate(&group, builder.file(), "/value", H5R_OBJECT, -1);
    builder.References("/value/img", {1}, {group});
  }
  ExpectError(ErrorCode::kCorruptData, "leads to something that is no data set", [&] { first(); });
  {
    Hdf5Builder builder(path);
    const hobj_ref_t inner = builder.References("/r", {1}, {0});
    builder.References("/value/img", {1}, {inner});
  }
  ExpectError(ErrorCode::kCorruptData, "leads to a data set that holds no numbers",
              [&] { first(); });
  {
    Hdf5Builder builder(path);
    // Chunked without any chunk written: 2^62 values in a few bytes.
    const hobj_ref_t huge =
        builder.Bytes("/huge", {hsize_t{1} << 31, hsize_t{1} << 31}, {}, {16, 16});
    builder.References("/value/img", {1}, {huge});
  }
  ExpectError(ErrorCode::kExhausted, "claims 2147483648 values along axis 0", [&] { first(); });
  {
    // Few enough to be allowed, far more than the file's bytes could unpack to.
    Hdf5Builder builder(path);
    const hobj_ref_t hollow = builder.Bytes("/hollow", {1 << 12, 1 << 12}, {}, {4, 4});
    builder.References("/value/img", {1}, {hollow});
  }
  ExpectError(ErrorCode::kCorruptData, "has fewer bytes than its shape asks for", [&] {
    const Hdf5File file(path);
    file.ReadBytes(file.ReadReferences("/value/img", 10).at(0), Index{1} << 30);
  });
  {
    Hdf5Builder builder(path);
    const hobj_ref_t chunky = builder.Bytes("/c", {1, hsize_t{1} << 29}, {}, {1, hsize_t{1} << 29});
    builder.References("/value/img", {1}, {chunky});
  }
  ExpectError(ErrorCode::kCorruptData, "has chunks of an absurd size", [&] {
    const Hdf5File file(path);
    file.ReadBytes(file.ReadReferences("/value/img", 10).at(0), Index{1} << 40);
  });
  {
    Hdf5Builder builder(path);
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(list, "/etc/hostname", 0, 3);
    const hobj_ref_t outside = builder.Write("/e", {3}, H5T_NATIVE_UINT8, nullptr, {}, list);
    H5Pclose(list);
    builder.References("/value/img", {1}, {outside});
  }
  ExpectError(ErrorCode::kCorruptData, "keeps its values in other files", [&] { first(); });
  {
    Hdf5Builder builder(path);
    H5Lcreate_external("/etc/other.h5", "/x", builder.file(), "/value/img", H5P_DEFAULT,
                       H5P_DEFAULT);
  }
  ExpectError(ErrorCode::kCorruptData, "is a link that may lead elsewhere", [&] { first(); });
  {
    Hdf5Builder builder(path);
    const hobj_ref_t scalar = builder.Write("/s", {1}, H5T_NATIVE_UINT8, nullptr, {});
    builder.References("/value/img", {1}, {scalar});
  }
  // Never written: no storage stands behind the claim.
  ExpectError(ErrorCode::kCorruptData, "has fewer bytes than its shape asks for", [&] { first(); });
}

TEST(Hdf5Test, EveryCutIsAnErrorOrReads) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a.mat";
  WriteSegmentationFile(path);
  std::ifstream stream(path, std::ios::binary);
  const std::string valid((std::istreambuf_iterator<char>(stream)), {});
  for (std::size_t size = 0; size < valid.size(); size += 101) {
    directory.Write("a.mat", valid.substr(0, size));
    try {
      const Hdf5File file(path);
      for (const Hdf5Reference reference : file.ReadReferences("/value/img", 10)) {
        file.ReadBytes(reference, 1000);
      }
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace cliplens
