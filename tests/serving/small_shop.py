"""A shop so small that every figure of it can be added up by hand."""

LINES = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1001,MUG,BLUE MUG,4,2011-01-01 10:00:00,2.50,10001,United Kingdom
1002,CUP,TEA CUP,2,2011-01-20 11:00:00,4.00,10004,United Kingdom
1003,MUG,BLUE MUG,8,2011-02-03 10:00:00,2.50,10001,United Kingdom
1004,CUP,TEA CUP,6,2011-02-10 10:00:00,5.00,10002,France
1005,MUG,BLUE MUG,1,2011-02-11 10:00:00,3.00,,United Kingdom
1006,MUG,BLUE MUG,2,2011-03-02 10:00:00,2.50,10001,United Kingdom
1007,CUP,TEA CUP,8,2011-03-05 10:00:00,5.00,10003,EIRE
C1008,CUP,TEA CUP,-1,2011-03-08 10:00:00,4.00,10003,EIRE
1009,CUP,TEA CUP,3,2011-03-20 10:00:00,4.00,10004,United Kingdom
1010,MUG,BLUE MUG,2,2011-03-31 10:00:00,3.50,,United Kingdom
"""
"""January: 10 + 8 = 18. February: 20 + 30 + 3 of a guest = 53. March: 5 + 40 - 4 back + 12 + 7 of a guest = 60.

In March, customer 10003 is new, 10004 returning, 10001 staying, 10002 lost.
"""
