// Data sets as they are published, each small and in its own layout.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/expect_error.h"
#include "tests/gzip_builder.h"
#include "tests/hdf5_builder.h"
#include "tests/matlab_builder.h"
#include "tests/tar_builder.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set.h"
#include "cliplens/io/file.h"
#include "cliplens/io/image.h"

// The HDF5 library does not give back all of its memory when it refuses a file.
extern "C" [[gnu::visibility("default")]] const char* __lsan_default_suppressions() {
  return "leak:libhdf5";
}

namespace cliplens {
namespace {

std::string TextOf(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

// "path label {attributes}" of each picture.
std::vector<std::string> Items(const ImageSet& set) {
  std::vector<std::string> items;
  for (Index i = 0; i < set.size(); ++i) {
    const Item item = set.item(i);
    EXPECT_EQ(item.path, set.path(i));
    items.push_back(item.path + " " + item.label.value_or("-") + " " + DumpJson(item.attributes));
  }
  return items;
}
using Lines = std::vector<std::string>;

class PublishedSetsTest : public testing::Test {
 protected:
  std::filesystem::path Root() const { return directory_.path(); }
  std::unique_ptr<ImageSet> Open(const std::string& split = "") {
    return OpenImageSet(Root(), {.split = split});
  }
  void Write(const std::string& name, const std::string& content) {
    directory_.Write(name, content);
  }
  void Remove(const std::string& name) { std::filesystem::remove_all(Root() / name); }

  TemporaryDirectory directory_;
};

TEST_F(PublishedSetsTest, TableOfPictures) {
  Write("deep/a.png", "picture a");
  Write("deep/a.mask.png", "mask a");
  Write("list.csv",
        "Filename,label,mask,split,hair,n\n"
        "deep/a.png,duck,deep/a.mask.png,test,\"long, dark\",007\n"
        "b.png,,,train,,1\n");
  const auto set = OpenImageSet(Root() / "list.csv");
  EXPECT_EQ(set->kind(), "table");
  EXPECT_EQ(set->root(), Root() / "list.csv");
  EXPECT_EQ(
      Items(*set),
      (Lines{R"(deep/a.png duck {"label":"duck","split":"test","hair":"long, dark","n":"007"})",
             R"(b.png - {"split":"train","n":"1"})"}));
  EXPECT_EQ(TextOf(set->Read(0)), "picture a");
  EXPECT_EQ(TextOf(set->ReadMask(0).value()), "mask a");
  EXPECT_EQ(set->ReadMask(1), std::nullopt);
  ExpectError(ErrorCode::kNotFound, "b.png", [&] { set->Read(1); });
  ExpectError(ErrorCode::kInvalidArgument, "picture 2 was asked for", [&] { set->item(2); });
  const auto train = OpenImageSet(Root() / "list.csv", {.split = "train"});
  EXPECT_EQ(Items(*train), (Lines{R"(b.png - {"split":"train","n":"1"})"}));
  EXPECT_EQ(train->split(), "train");
  ExpectError(ErrorCode::kNotFound, "no picture is of the split 'val'; there are: test, train",
              [&] { OpenImageSet(Root() / "list.csv", {.split = "val"}); });
}

TEST_F(PublishedSetsTest, TablesThatCannotBeUsed) {
  const auto open = [&](const std::string& content, const std::string& split = "") {
    Write("list.csv", content);
    return OpenImageSet(Root() / "list.csv", {.split = split});
  };
  ExpectError(ErrorCode::kInvalidArgument,
              "no column holds the pictures' paths; one must be named path, file, filename, "
              "file_name, filepath, file_path, image, image_path, img, img_filename, image_id, or "
              "by --path-column; the columns are: a, b",
              [&] { open("a;b\n1;2\n"); });
  ExpectError(ErrorCode::kNotFound, "list.csv: lists no pictures", [&] { open("path\n"); });
  for (const char* path : {"../a.png", "b/../../a.png", "/etc/a.png", ".."}) {
    ExpectError(ErrorCode::kCorruptData, "row 2: the path",
                [&] { open(std::string("path,label\na.png,1\n") + path + ",1\n"); });
    ExpectError(ErrorCode::kCorruptData, "in column 'mask'",
                [&] { open(std::string("path,mask\na.png,") + path + "\n"); });
  }
  ExpectError(ErrorCode::kCorruptData, "row 1: the path \"\" in column 'path' is empty",
              [&] { open("path,label\n,1\n"); });
  ExpectError(ErrorCode::kCorruptData,
              "rows 1 and 3 both name the picture \"a.png\", with 'x' and 'y' as its label",
              [&] { open("path,label\n./a.png,x\nb.png,z\na.png,y\n"); });
  Write("list.csv", "path,where\na.png,b.png\n");
  ExpectError(ErrorCode::kInvalidArgument, "has no column 'elsewhere', which --path-column names",
              [&] { OpenImageSet(Root() / "list.csv", {.path_column = "elsewhere"}); });
  ExpectError(ErrorCode::kInvalidArgument, "has no column 'split', but split 'val' was asked for",
              [&] { open("path\na.png\n", "val"); });
}

TEST_F(PublishedSetsTest, RowsOfOnePictureAreJoined) {
  Write("list.csv",
        "image,caption,n,label\n.//img/a.jpg,one,0,cat\nimg/b.jpg,b,0,dog\nimg/a.jpg,two,1,cat\n"
        "img/./a.jpg,one,2,cat\n");
  const auto set = OpenImageSet(Root() / "list.csv");
  EXPECT_EQ(
      Items(*set),
      (Lines{R"(img/a.jpg cat {"caption":["one","two","one"],"n":["0","1","2"],"label":"cat"})",
             R"(img/b.jpg dog {"caption":"b","n":"0","label":"dog"})"}));
  ASSERT_EQ(set->left_out().notes.size(), 1u);
  EXPECT_NE(set->left_out().notes[0].find("2 of 4 rows name a picture again; 2 pictures"),
            std::string::npos);
}

TEST_F(PublishedSetsTest, TheUserMayNameTheColumnAndAllowOtherFolders) {
  Write("deep/a.png", "picture a");
  Write("deep/er/list.csv", "image;path\n../a.png;x\n" + (Root() / "deep/a.png").string() + ";y\n");
  const auto set =
      OpenImageSet(Root() / "deep/er/list.csv", {.path_column = "IMAGE", .allow_absolute = true});
  ASSERT_EQ(set->size(), 2);
  EXPECT_EQ(TextOf(set->Read(0)), "picture a");
  EXPECT_EQ(TextOf(set->Read(1)), "picture a");
  EXPECT_EQ(set->path_column(), "IMAGE");
  EXPECT_TRUE(set->allow_absolute());
  ExpectError(ErrorCode::kCorruptData, "--allow-absolute lets them lead elsewhere",
              [&] { OpenImageSet(Root() / "deep/er/list.csv", {.path_column = "image"}); });
  ExpectError(ErrorCode::kInvalidArgument, "--path-column is for tables",
              [&] { OpenImageSet(Root() / "deep/a.png", {.path_column = "image"}); });
  Write("windows.csv", "path\ndeep\\a.png\n");
  ExpectError(ErrorCode::kNotFound, "are to be separated by / and not by \\",
              [&] { OpenImageSet(Root() / "windows.csv")->Read(0); });
}

TEST_F(PublishedSetsTest, Celeba) {
  const std::string attributes =
      "3\nBlond_Hair Male \n000001.jpg -1  1\n000002.jpg  1 -1\n000003.jpg  1  1\n";
  const std::string partition = "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n";
  Write("img_align_celeba/000002.jpg", "second");
  Write("list_attr_celeba.txt", attributes);
  ExpectError(ErrorCode::kNotFound, "looks like CelebA, but list_eval_partition is missing",
              [&] { Open(); });
  Write("list_eval_partition.txt", partition);
  const auto set = Open();
  EXPECT_EQ(set->kind(), "celeba");
  EXPECT_EQ(Items(*set)[1],
            R"(img_align_celeba/000002.jpg - {"Blond_Hair":"1","Male":"-1","split":"val"})");
  EXPECT_EQ(TextOf(Open("val")->Read(0)), "second");
  EXPECT_EQ(Open("test")->size(), 1);
  Write("list_eval_partition.txt", "000001.jpg 0\n");
  ExpectError(ErrorCode::kCorruptData, "has no line for 000002.jpg", [&] { Open(); });
  Write("list_eval_partition.txt", partition + "4.jpg 3\n");
  ExpectError(ErrorCode::kCorruptData, "the partition is '3'", [&] { Open(); });
}

// As copies on Kaggle have them.
TEST_F(PublishedSetsTest, CelebaInTables) {
  Write("img_align_celeba/img_align_celeba/000001.jpg", "first");
  Write("list_attr_celeba.csv", "image_id,Blond_Hair,Male\n000001.jpg,-1,1\n");
  Write("list_eval_partition.csv", "image_id,partition\n000001.jpg,0\n");
  const auto set = Open("train");
  EXPECT_EQ(Items(*set), Lines{R"(img_align_celeba/img_align_celeba/000001.jpg - )"
                               R"({"Blond_Hair":"-1","Male":"1","split":"train"})"});
  EXPECT_EQ(TextOf(set->Read(0)), "first");
}

TEST_F(PublishedSetsTest, SetsWithoutSplitsRefuseOne) {
  Write("a.png", "x");
  ExpectError(ErrorCode::kInvalidArgument,
              "is a set of kind folder, which has no splits, but split 'test' was asked for",
              [&] { Open("test"); });
}

TEST_F(PublishedSetsTest, Waterbirds) {
  Write("001.Albatross/a.jpg", "picture a");
  Write("metadata.csv",
        "img_id,img_filename,y,split,place,place_filename\n"
        "1,001.Albatross/a.jpg,1,0,0,/b/bamboo_forest/1.jpg\n"
        "2,002.Auk/b.jpg,1,1,1,/o/ocean/2.jpg\n"
        "3,003.Wren/c.jpg,0,2,1,/o/ocean/3.jpg\n");
  const auto set = Open();
  EXPECT_EQ(set->kind(), "waterbirds");
  EXPECT_EQ(
      Items(*set),
      (Lines{
          R"(001.Albatross/a.jpg waterbird {"label":"waterbird","y":"1","place":"land","split":"train"})",
          R"(002.Auk/b.jpg waterbird {"label":"waterbird","y":"1","place":"water","split":"val"})",
          R"(003.Wren/c.jpg landbird {"label":"landbird","y":"0","place":"water","split":"test"})"}));
  EXPECT_EQ(TextOf(set->Read(0)), "picture a");
  EXPECT_EQ(Open("test")->path(0), "003.Wren/c.jpg");
  EXPECT_EQ(Open("test")->size(), 1);
  ExpectError(ErrorCode::kNotFound, "of the split 'dev'; there are: test, train, val",
              [&] { Open("dev"); });
  Write("metadata.csv", "img_filename,y,split,place\na.jpg,2,0,0\n");
  ExpectError(ErrorCode::kCorruptData, "metadata.csv: row 1: y is '2', 0 to 1 was expected",
              [&] { Open(); });
  // Another table of that name makes no Waterbirds of a folder.
  Write("metadata.csv", "file_name,text\na.jpg,x\n");
  EXPECT_EQ(Open()->kind(), "folder");
}

TEST_F(PublishedSetsTest, Cub) {
  Write("images.txt", "1 001.Albatross/a_1.jpg\n2 002.Cardinal_Bird/b.jpg\r\n");
  Write("image_class_labels.txt", "1 1\n2 2\n");
  Write("classes.txt", "1 001.Albatross\n2 002.Cardinal_Bird\n");
  Write("train_test_split.txt", "1 1\n2 0\n");
  Write("images/002.Cardinal_Bird/b.jpg", "picture b");
  const auto set = Open();
  EXPECT_EQ(set->kind(), "cub");
  EXPECT_EQ(
      Items(*set),
      (Lines{
          R"(images/001.Albatross/a_1.jpg 001.Albatross {"label":"001.Albatross","species":"Albatross","split":"train"})",
          R"(images/002.Cardinal_Bird/b.jpg 002.Cardinal_Bird {"label":"002.Cardinal_Bird","species":"Cardinal Bird","split":"test"})"}));
  EXPECT_EQ(TextOf(set->Read(1)), "picture b");
  EXPECT_EQ(Open("test")->size(), 1);
  Write("train_test_split.txt", "1 1\n");
  ExpectError(ErrorCode::kCorruptData, "train_test_split.txt: has no line for 2", [&] { Open(); });
  Write("train_test_split.txt", "1 1\n2 5\n");
  ExpectError(ErrorCode::kCorruptData, "picture 2 has '5', 1 (train) or 0 (test)", [&] { Open(); });
  Write("train_test_split.txt", "1 1\n1 0\n");
  ExpectError(ErrorCode::kCorruptData, "line 2: 1 stands twice", [&] { Open(); });
  Write("train_test_split.txt", "12\n");
  ExpectError(ErrorCode::kCorruptData, "line 1: \"12\" is not a number, a blank and a value",
              [&] { Open(); });
  Remove("classes.txt");
  ExpectError(ErrorCode::kNotFound, "looks like CUB-200-2011, but classes.txt is missing",
              [&] { Open(); });
}

// Record k of a batch: label k, then red k, green k + 1, blue k + 2 and one marked pixel.
std::string CifarRecord(const std::string& labels, int k) {
  std::string record = labels;
  for (int c = 0; c < 3; ++c) {
    std::string plane(1024, static_cast<char>(k + c));
    plane[32 * 2 + 1] = static_cast<char>(200 + c);  // row 2, column 1
    record += plane;
  }
  return record;
}

TEST_F(PublishedSetsTest, Cifar10) {
  for (int b = 1; b <= 5; ++b) {
    Write("data_batch_" + std::to_string(b) + ".bin", CifarRecord(std::string(1, '\1'), b));
  }
  Write("test_batch.bin",
        CifarRecord(std::string(1, '\0'), 7) + CifarRecord(std::string(1, '\1'), 8));
  Write("batches.meta.txt", "airplane\nautomobile\n\n");
  const auto set = Open();
  EXPECT_EQ(set->kind(), "cifar-10");
  EXPECT_EQ(set->size(), 7);
  EXPECT_EQ(Items(*Open("test")), (Lines{R"(test_batch.bin/00000 airplane {"split":"test"})",
                                         R"(test_batch.bin/00001 automobile {"split":"test"})"}));
  EXPECT_EQ(Items(*set)[4], R"(data_batch_5.bin/00000 automobile {"split":"train"})");
  const Image image = DecodeImage(set->Read(5), "x");
  EXPECT_EQ(image.width, 32);
  EXPECT_EQ(image.height, 32);
  EXPECT_EQ(image.mode, PixelMode::kRgb);
  EXPECT_EQ(std::vector<std::uint8_t>(image.pixels.begin(), image.pixels.begin() + 3),
            (std::vector<std::uint8_t>{7, 8, 9}));
  const auto marked = image.pixels.begin() + 3 * (32 * 2 + 1);
  EXPECT_EQ(std::vector<std::uint8_t>(marked, marked + 3),
            (std::vector<std::uint8_t>{200, 201, 202}));
  EXPECT_EQ(set->ReadMask(0), std::nullopt);
  ExpectError(ErrorCode::kNotFound, "CIFAR has the splits train and test, not 'val'",
              [&] { Open("val"); });
  Write("test_batch.bin", CifarRecord(std::string(1, '\5'), 7));
  ExpectError(ErrorCode::kCorruptData, "picture 0 has label 5, batches.meta.txt names 2 classes",
              [&] { (void)Open("test")->item(0); });
  Write("test_batch.bin", "short");
  ExpectError(ErrorCode::kCorruptData,
              "test_batch.bin: has 5 bytes, a multiple of 3073 (the record of a cifar-10 picture)",
              [&] { Open(); });
  Remove("data_batch_3.bin");
  ExpectError(ErrorCode::kNotFound, "but data_batch_3.bin is missing", [&] { Open(); });
}

TEST_F(PublishedSetsTest, Cifar10Archive) {
  const std::string folder = "cifar-10-batches-bin/";
  std::vector<std::pair<std::string, std::string>> members;
  for (const int b : {4, 1, 5, 2, 3}) {
    members.emplace_back(folder + "data_batch_" + std::to_string(b) + ".bin",
                         CifarRecord(std::string(1, '\1'), b));
  }
  members.emplace_back(folder + "batches.meta.txt", "airplane\nautomobile\n\n");
  members.emplace_back(folder + "readme.html", "<html>");
  members.emplace_back(folder + "test_batch.bin", CifarRecord(std::string(1, '\0'), 7));
  const std::string tar = TarMemberBytes(folder, "", '5') + TarArchive(members);
  const std::string name = "cifar-10-binary.tar.gz";
  const auto open = [&](const std::string& split = "") {
    return OpenImageSet(Root() / name, {.split = split});
  };
  Write(name, Gzip(tar));
  const auto set = open();
  EXPECT_EQ(set->kind(), "cifar-10");
  EXPECT_EQ(set->root(), Root() / name);
  EXPECT_EQ(set->size(), 6);
  EXPECT_EQ(Items(*set)[4], R"(data_batch_5.bin/00000 automobile {"split":"train"})");
  EXPECT_EQ(DecodeImage(set->Read(4), "x").pixels[0], 5);
  EXPECT_EQ(Items(*open("test")), (Lines{R"(test_batch.bin/00000 airplane {"split":"test"})"}));
  EXPECT_EQ(open("train")->size(), 5);
  ExpectError(ErrorCode::kNotFound, "splits train and test, not 'val'", [&] { open("val"); });

  Write(name, Gzip(tar).substr(0, 200));
  ExpectError(ErrorCode::kCorruptData, "cifar-10-binary.tar.gz: what is packed ends early",
              [&] { open(); });
  Write(name, Gzip(tar.substr(0, 2000)));
  ExpectError(ErrorCode::kCorruptData, "the archive is cut off, fetch it again", [&] { open(); });
  members.back().second = CifarRecord(std::string(1, '\5'), 7);
  Write(name, Gzip(TarArchive(members)));
  ExpectError(ErrorCode::kCorruptData,
              "cifar-10-binary.tar.gz, test_batch.bin: picture 0 has label 5, batches.meta.txt "
              "names 2 classes; fetch it again",
              [&] { (void)open("test")->item(0); });
  members.back().second = "short";
  Write(name, Gzip(TarArchive(members)));
  ExpectError(ErrorCode::kCorruptData, "test_batch.bin: has 5 bytes, a multiple of 3073",
              [&] { open(); });
  members.back().first = "elsewhere/data_batch_1.bin";
  Write(name, Gzip(TarArchive(members)));
  ExpectError(ErrorCode::kCorruptData, "'data_batch_1.bin' stands twice", [&] { open(); });
  members.pop_back();
  Write(name, Gzip(TarArchive(members)));
  ExpectError(ErrorCode::kNotFound, "test_batch.bin is missing; fetch it again", [&] { open(); });
  // The version for Python has the same names without an ending.
  Write(name, Gzip(TarArchive({{"cifar-10-batches-py/data_batch_1", "pickle"}})));
  ExpectError(ErrorCode::kUnsupported, "only CIFAR's binary versions are read", [&] { open(); });
}

TEST_F(PublishedSetsTest, PackedArchiveThatUnpacksToTooMuch) {
  // 208 MB of zeros in 13 members.
  const std::string zeros = Gzip(std::string(16 << 20, '\0'), 9);
  std::string bomb;
  for (int i = 0; i < 13; ++i) bomb += zeros;
  Write("cifar-bomb.tar.gz", bomb);
  ExpectError(ErrorCode::kExhausted, "cifar-bomb.tar.gz: unpacks to more than 201326592 bytes",
              [&] { OpenImageSet(Root() / "cifar-bomb.tar.gz"); });
}

TEST_F(PublishedSetsTest, Cifar100Archive) {
  const std::string folder = "cifar-100-binary/";
  Write("cifar-100-binary.tar.gz",
        Gzip(TarArchive({{folder + "coarse_label_names.txt", "insects\nfruit\n"},
                         {folder + "fine_label_names.txt", "apple\nbee\n"},
                         {folder + "test.bin", CifarRecord(std::string("\0\1", 2), 2)},
                         {folder + "train.bin", CifarRecord(std::string("\1\0", 2), 1)}})));
  const auto set = OpenImageSet(Root() / "cifar-100-binary.tar.gz");
  EXPECT_EQ(set->kind(), "cifar-100");
  EXPECT_EQ(Items(*set), (Lines{R"(train.bin/00000 apple {"coarse":"fruit","split":"train"})",
                                R"(test.bin/00000 bee {"coarse":"insects","split":"test"})"}));
}

TEST_F(PublishedSetsTest, Cifar100) {
  Write("train.bin", CifarRecord(std::string("\1\0", 2), 1));
  Write("test.bin", CifarRecord(std::string("\0\1", 2), 2));
  Write("fine_label_names.txt", "apple\nbee\n");
  Write("coarse_label_names.txt", "insects\nfruit\n");
  const auto set = Open();
  EXPECT_EQ(set->kind(), "cifar-100");
  EXPECT_EQ(Items(*set), (Lines{R"(train.bin/00000 apple {"coarse":"fruit","split":"train"})",
                                R"(test.bin/00000 bee {"coarse":"insects","split":"test"})"}));
  EXPECT_EQ(DecodeImage(set->Read(1), "x").pixels[0], 2);
  Remove("coarse_label_names.txt");
  ExpectError(ErrorCode::kNotFound, "but coarse_label_names.txt is missing", [&] { Open(); });
}

TEST_F(PublishedSetsTest, ImagenetWithDevkit) {
  Write("val/ILSVRC2012_val_00000001.JPEG", "picture 1");
  Write("val/ILSVRC2012_val_00000003.JPEG", "picture 3");
  const std::string data = "ILSVRC2012_devkit_t12/data/";
  Write(data + "meta.mat",
        MatlabMeta({{1, "n02119789", "kit fox, Vulpes macrotis"}, {490, "n03388043", "fountain"}}));
  Write(data + "ILSVRC2012_validation_ground_truth.txt", "490\n490\n1\n");
  const auto set = Open();
  EXPECT_EQ(set->kind(), "imagenet");
  EXPECT_EQ(
      Items(*set),
      (Lines{
          R"(val/ILSVRC2012_val_00000001.JPEG n03388043 {"label":"n03388043","words":"fountain","imagenet_id":"490"})",
          R"(val/ILSVRC2012_val_00000003.JPEG n02119789 {"label":"n02119789","words":"kit fox, Vulpes macrotis","imagenet_id":"1"})"}));
  EXPECT_EQ(TextOf(set->Read(1)), "picture 3");
  EXPECT_EQ(Open("val")->size(), 2);
  ExpectError(ErrorCode::kNotFound, "split val, not 'train'", [&] { Open("train"); });
  Write(data + "ILSVRC2012_validation_ground_truth.txt", "490\n490\n2\n");
  ExpectError(ErrorCode::kCorruptData, "line 3 is class 2, which meta.mat does not have",
              [&] { Open(); });
  Write(data + "ILSVRC2012_validation_ground_truth.txt", "490\n490\n");
  ExpectError(ErrorCode::kCorruptData, "has 2 lines, none for the picture", [&] { Open(); });
  Write(data + "ILSVRC2012_validation_ground_truth.txt", "490\nx\n");
  ExpectError(ErrorCode::kCorruptData, "line 2: \"x\" is no number of a class", [&] { Open(); });
  Remove(data + "ILSVRC2012_validation_ground_truth.txt");
  ExpectError(ErrorCode::kNotFound, "but ILSVRC2012_validation_ground_truth.txt is missing",
              [&] { Open(); });
  Write(data + "meta.mat", MatlabFile(MatlabStructures("other", {"f"}, 1, MatlabText("x"))));
  ExpectError(ErrorCode::kCorruptData, "meta.mat: has no variable 'synsets'", [&] { Open(); });
  Write(data + "meta.mat", MatlabFile(MatlabStructures("synsets", {"f"}, 1, MatlabText("x"))));
  ExpectError(ErrorCode::kCorruptData, "meta.mat: no field 'ILSVRC2012_ID' of structure 0",
              [&] { Open(); });
}

TEST_F(PublishedSetsTest, ImagenetFlatWithGroundTruth) {
  Write("ILSVRC2012_val_00000002.JPEG", "picture 2");
  Write("ILSVRC2012_validation_ground_truth.txt", "490\n7\n");
  EXPECT_EQ(Items(*Open()),
            (Lines{R"(ILSVRC2012_val_00000002.JPEG 7 {"label":"7","imagenet_id":"7"})"}));
  Remove("ILSVRC2012_val_00000002.JPEG");
  ExpectError(ErrorCode::kNotFound, "looks like ImageNet's validation set, but has no pictures",
              [&] { Open(); });
}

TEST_F(PublishedSetsTest, ImagenetByFolders) {
  Write("val/n02119789/ILSVRC2012_val_00000003.JPEG", "x");
  Write("val/n03388043/a.JPEG", "x");
  Write("train/n03388043/t.JPEG", "x");
  EXPECT_EQ(Items(*Open()),
            (Lines{R"(val/n02119789/ILSVRC2012_val_00000003.JPEG n02119789 {"label":"n02119789"})",
                   R"(val/n03388043/a.JPEG n03388043 {"label":"n03388043"})"}));
  Write("meta.mat", MatlabMeta({{1, "n02119789", "kit fox"}}));
  EXPECT_EQ(Open()->item(0).attributes.at("words"), "kit fox");
}

std::string GrayPng(std::vector<std::uint8_t> pixels, Index width) {
  Image image{.mode = PixelMode::kGray,
              .width = width,
              .height = static_cast<Index>(pixels.size()) / width,
              .pixels = std::move(pixels),
              .palette = {},
              .clear_color = std::nullopt};
  return TextOf(EncodePng(image));
}

TEST_F(PublishedSetsTest, Pascal) {
  Write("JPEGImages/2007_1.jpg", "picture 1");
  Write("JPEGImages/2007_2.jpg", "picture 2");
  Write("JPEGImages/2007_3.jpg", "without a mask");
  Write("SegmentationClass/2007_1.png", GrayPng({0, 255, 3, 3}, 2));
  Write("SegmentationClass/2007_2.png", GrayPng({0, 15, 20, 0}, 2));
  Write("SegmentationObject/2007_1.png", GrayPng({0, 255, 1, 2}, 2));
  Write("ImageSets/Segmentation/val.txt", "2007_2\n");
  Write("ImageSets/Main/val.txt", "2007_3\n");
  const auto set = Open();
  EXPECT_EQ(set->kind(), "pascal");
  EXPECT_EQ(set->mask_ignore(), 255);
  EXPECT_EQ(Items(*set), (Lines{R"(JPEGImages/2007_1.jpg bird {"classes":["bird"]})",
                                R"(JPEGImages/2007_2.jpg - {"classes":["person","tvmonitor"]})"}));
  EXPECT_EQ(TextOf(set->Read(0)), "picture 1");
  EXPECT_EQ(TextOf(set->ReadMask(0).value()), GrayPng({0, 255, 3, 3}, 2));
  EXPECT_EQ(Open("val")->path(0), "JPEGImages/2007_2.jpg");
  EXPECT_EQ(Open("val")->size(), 1);
  for (const char* split : {"train", "../Main/val", ".", "/etc/x"}) {
    ExpectError(ErrorCode::kNotFound, "has no list ImageSets/Segmentation/", [&] { Open(split); });
  }
  Remove("SegmentationClass");
  EXPECT_EQ(Items(*Open()), (Lines{"JPEGImages/2007_1.jpg - {}"}));
  Remove("SegmentationObject");
  ExpectError(ErrorCode::kNotFound, "but neither SegmentationClass nor SegmentationObject",
              [&] { Open(); });
}

TEST_F(PublishedSetsTest, ImagenetSegmentation) {
  WriteSegmentationFile(Root() / "gtsegs_ijcv.mat");
  auto set = OpenImageSet(Root() / "gtsegs_ijcv.mat");
  EXPECT_EQ(set->kind(), "imagenet-segmentation");
  EXPECT_EQ(Items(*set), (Lines{"img/00000 - {}", "img/00001 - {}"}));
  const Image picture = DecodeImage(set->Read(0), "x");
  EXPECT_EQ(picture.width, 3);
  EXPECT_EQ(picture.height, 2);
  for (std::size_t y = 0; y < 2; ++y) {
    for (std::size_t x = 0; x < 3; ++x) {
      for (std::size_t c = 0; c < 3; ++c) {
        EXPECT_EQ(picture.pixels[3 * (3 * y + x) + c], 40 * c + 10 * x + y);
      }
    }
  }
  const Image mask = DecodeImage(set->ReadMask(0).value(), "x");
  EXPECT_EQ(mask.width, 3);
  EXPECT_EQ(mask.pixels, (std::vector<std::uint8_t>{0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(DecodeImage(set->ReadMask(1).value(), "x").pixels,
            (std::vector<std::uint8_t>{1, 0, 1, 0}));
  set.reset();  // the library holds open files
  {
    Hdf5Builder builder(Root() / "gtsegs_ijcv.mat");
    const hobj_ref_t flat = builder.Bytes("/flat", {4}, {1, 2, 3, 4});
    builder.References("/value/img", {1, 1}, {flat});
    builder.References("/value/gt", {2, 1}, {flat, flat});
  }
  ExpectError(ErrorCode::kCorruptData, "/value/img has 1 pictures, /value/gt has 2 masks",
              [&] { OpenImageSet(Root() / "gtsegs_ijcv.mat"); });
  {
    Hdf5Builder builder(Root() / "gtsegs_ijcv.mat");
    const hobj_ref_t flat = builder.Bytes("/flat", {4}, {1, 2, 3, 4});
    const hobj_ref_t cell = builder.References("/cell", {1, 1}, {flat});
    builder.References("/value/img", {1, 1}, {flat});
    builder.References("/value/gt", {1, 1}, {cell});
  }
  const auto broken = OpenImageSet(Root() / "gtsegs_ijcv.mat");
  ExpectError(ErrorCode::kCorruptData, "picture 0 has shape [4], [3, W, H] was expected",
              [&] { broken->Read(0); });
  ExpectError(ErrorCode::kCorruptData, "mask 0 has shape [4], [W, H] was expected",
              [&] { broken->ReadMask(0); });
  Write("meta.mat", MatlabMeta({}));
  ExpectError(ErrorCode::kUnsupported, "is no HDF5 file but a MATLAB file of version 5",
              [&] { OpenImageSet(Root() / "meta.mat"); });
}

// The HDF5 library itself crashes on some of these; that it must do elsewhere.
TEST_F(PublishedSetsTest, AChangedByteOfImagenetSegmentationIsReadOrRefused) {
  WriteSegmentationFile(Root() / "whole.mat");
  const std::string whole = ReadTextFile(Root() / "whole.mat", 1 << 20);
  Index refused = 0;
  for (std::size_t at = 0; at < whole.size(); at += 53) {
    std::string changed = whole;
    changed[at] = static_cast<char>(~changed[at]);
    Write("gtsegs_ijcv.mat", changed);
    try {
      const auto set = OpenImageSet(Root() / "gtsegs_ijcv.mat");
      for (Index i = 0; i < set->size(); ++i) {
        set->Read(i);
        set->ReadMask(i);
      }
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("gtsegs_ijcv.mat"), std::string::npos)
          << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 5);
}

}  // namespace
}  // namespace cliplens
