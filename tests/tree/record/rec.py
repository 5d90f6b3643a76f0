import os, sys, json, base64, gzip, subprocess, glob
W='../../'
def text(d):
    return subprocess.run(['python3', W+'tree_digest.py', '-t', d], check=True, capture_output=True, text=True).stdout
cases=[]
names=sorted(glob.glob('named/*'))+sorted(glob.glob('cases/sane*'))[:80]+sorted(glob.glob('cases/wild*'))[:120]
refusals={'cont':'unsupported','dir-with-size':'malformed','dot-nondir':'malformed','empty-symlink':'malformed','link-with-data':'malformed','link-with-size-only':'malformed','pax-size-smaller':'malformed','pax-size-zero-header':'malformed','sparse-gnu':'unsupported'}
for d in names:
    n=os.path.basename(d)
    if n in ('sparse-gnu',): pass
    ls=[base64.b64encode(gzip.compress(open(f,'rb').read(),9,mtime=0) ).decode() for f in sorted(glob.glob(d+'/*.tar'))]
    c={'name':n,'layers':ls}
    if n in refusals: c['refused']=refusals[n]
    for p in ('host','umoci'):
        err=os.path.exists(f'{d}/{p}.err')
        if err and n.startswith(('sane','wild')) and p=='umoci' and 'operation not permitted' in open(f'{d}/{p}.err').read(): break
        c[p]=None if err else text(f'{d}/{p}')
        if err: c[p+'_error']=open(f'{d}/{p}.err').read().split('unpack entry: ')[-1].replace('named/','')[-160:]
    else:
        cases.append(c)
with open(W+'tree/recorded.json','w') as f:
    f.write('[\n'+',\n'.join(json.dumps(c) for c in cases)+'\n]\n')
print(len(cases), os.path.getsize(W+'tree/recorded.json'))
