-- The bytes of the file.
-- Reads its header.
SELECT page_count * page_size
FROM pragma_page_count, pragma_page_size;
